/*
 * What came on one connection, frame by frame: a whole text message that goes the straight way is taken here; every
 * other byte goes on to picows as it came, in order. So picows stays the judge of the protocol. What is kept here is
 * only where frames begin.
 */
#include "hot.h"

#define HEAD_MOST 14 /* of a frame: RFC 6455, 5.2 */

typedef struct {
    PyObject_HEAD
    uint8_t masked;     /* a server's peers mask */
    uint8_t deaf;       /* a close is under way: picows hears all, and we look at nothing */
    uint8_t fragments;  /* inside a message in pieces */
    uint8_t seen;       /* something went straight since the last time that was asked */
    uint8_t downwards;  /* whose messages these are: 0 the carrier's, 1 the provider's */
    uint8_t head_n;     /* bytes of a frame's head that picows has already got */
    uint8_t head[HEAD_MOST];
    uint32_t carry_n;   /* bytes of a frame that is not yet whole */
    uint64_t skip;      /* bytes of a frame's rest that are picows' */
    char *carry;
    Way *way;
    PyObject *get_buffer, *buffer_updated; /* picows' */
    PyObject *inner, *owner;               /* picows' protocol; whose connection it is: a Socket */
    struct Poll *poll;                     /* who reads the connection in place of its transport (poll.c), or NULL */
    uint32_t place;                        /* there */
    int fd;
    PyObject *transport;
} Ear;

typedef struct {
    size_t size; /* of the head; 0: not all of it is there */
    uint64_t n;  /* of the payload */
} Head;

static Head head_of(const uint8_t *p, size_t n)
{
    Head head = {0, 0};
    if (n < 2)
        return head;
    size_t more = (p[1] & 127) == 126 ? 2 : (p[1] & 127) == 127 ? 8 : 0;
    size_t size = 2 + more + (p[1] & 128 ? 4u : 0u);
    if (n < size)
        return head;
    head.n = more ? 0 : p[1] & 127u;
    for (size_t i = 0; i < more; i++)
        head.n = head.n << 8 | p[2 + i];
    head.size = size;
    return head;
}

static int forward(Ear *ear, const char *data, size_t n)
{
    while (n > 0) {
        if (ear->get_buffer == NULL)
            return 0;
        PyObject *room = PyObject_CallFunction(ear->get_buffer, "i", -1);
        if (room == NULL)
            return -1;
        Py_buffer view;
        if (PyObject_GetBuffer(room, &view, PyBUF_WRITABLE) < 0) {
            Py_DECREF(room);
            return -1;
        }
        size_t k = n < (size_t)view.len ? n : (size_t)view.len;
        memcpy(view.buf, data, k);
        PyBuffer_Release(&view);
        Py_DECREF(room);
        if (k == 0) {
            PyErr_SetString(PyExc_RuntimeError, "picows gave a buffer without room");
            return -1;
        }
        PyObject *done = PyObject_CallFunction(ear->buffer_updated, "n", (Py_ssize_t)k);
        if (done == NULL)
            return -1;
        Py_DECREF(done);
        data += k;
        n -= k;
    }
    return 0;
}

/* picows has seen something that was not usual: whether it has answered with a close. */
static int after_forward(Ear *ear)
{
    if (ear->deaf || ear->owner == NULL)
        return 0;
    PyObject *closes = PyObject_CallMethod(ear->owner, "closes", NULL);
    if (closes == NULL)
        return -1;
    ear->deaf = (uint8_t)(PyObject_IsTrue(closes) == 1);
    Py_DECREF(closes);
    return 0;
}

/* A whole frame of text: 1 when it went the straight way. An error of the way is its owner's to tell. */
static int straight(Ear *ear, const char *frame, Head head)
{
    const char *payload = frame + head.size;
    Scratch *s = scratch();
    if (ear->masked) {
        uint32_t mask;
        memcpy(&mask, payload - 4, 4);
        xor_mask(s->plain, payload, head.n, mask);
        payload = s->plain;
    }
    Way *way = ear->way;
    Py_INCREF((PyObject *)way);
    int passed = ear->downwards ? way_down(way, payload, head.n) : way_up(way, payload, head.n);
    Py_DECREF((PyObject *)way);
    if (passed < 0) {
        PyObject *type, *error, *traceback;
        PyErr_Fetch(&type, &error, &traceback);
        PyErr_NormalizeException(&type, &error, &traceback);
        if (traceback != NULL)
            PyException_SetTraceback(error, traceback);
        PyObject *done = ear->owner ? PyObject_CallMethod(ear->owner, "defect", "O", error) : Py_NewRef(Py_None);
        Py_XDECREF(type);
        Py_XDECREF(error);
        Py_XDECREF(traceback);
        if (done == NULL)
            return -1;
        Py_DECREF(done);
        return 1;
    }
    ear->seen |= (uint8_t)passed;
    return passed;
}

static int may_be_usual(const Ear *ear, const uint8_t *p, size_t n)
{
    if (ear->way == NULL || ear->fragments || p[0] != 0x81)
        return 0;
    return n < 2 || ((p[1] >> 7) == ear->masked && (p[1] & 127) != 127);
}

static int carry(Ear *ear, const char *data, size_t n)
{
    char *kept = realloc(ear->carry, n);
    if (kept == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(kept, data, n);
    ear->carry = kept;
    ear->carry_n = (uint32_t)n;
    return 0;
}

static void count_pieces(Ear *ear, uint8_t first)
{
    int opcode = first & 15, fin = first >> 7;
    if ((opcode == 1 || opcode == 2) && !fin)
        ear->fragments = 1;
    else if (opcode == 0 && fin)
        ear->fragments = 0;
}

/* The head of a frame that is picows', of which it has got the first `head_n` bytes: how many of `data` it takes. */
static size_t rest_of_head(Ear *ear, const char *data, size_t n)
{
    size_t k = 0;
    Head head = {0, 0};
    while (k < n && head.size == 0) {
        ear->head[ear->head_n++] = (uint8_t)data[k++];
        head = head_of(ear->head, ear->head_n);
    }
    if (head.size) {
        count_pieces(ear, ear->head[0]);
        ear->skip = head.n;
        ear->head_n = 0;
    }
    return k;
}

/* One step through what has come: how many bytes are done with; 0 when the rest has to wait; -1 with an exception. */
static Py_ssize_t step(Ear *ear, const char *data, size_t n)
{
    size_t k;
    if (ear->deaf)
        k = n;
    else if (ear->skip) {
        k = ear->skip < n ? (size_t)ear->skip : n;
        ear->skip -= k;
    } else if (ear->head_n)
        k = rest_of_head(ear, data, n);
    else {
        Head head = head_of((const uint8_t *)data, n);
        int usual = may_be_usual(ear, (const uint8_t *)data, n) && head.n <= USUAL_MOST;
        if (usual && (head.size == 0 || n - head.size < head.n))
            return carry(ear, data, n) < 0 ? -1 : 0;
        if (usual) {
            int passed = straight(ear, data, head);
            if (passed)
                return passed < 0 ? -1 : (Py_ssize_t)(head.size + head.n);
        }
        k = rest_of_head(ear, data, n);
        if (ear->skip) {
            size_t body = ear->skip < n - k ? (size_t)ear->skip : n - k;
            ear->skip -= body;
            k += body;
        }
    }
    if (forward(ear, data, k) < 0 || after_forward(ear) < 0)
        return -1;
    return (Py_ssize_t)k;
}

static int hear(Ear *ear, const char *data, size_t n)
{
    ear->carry_n = 0;
    while (n > 0) {
        Py_ssize_t k = step(ear, data, n);
        if (k <= 0)
            return (int)k;
        data += k;
        n -= (size_t)k;
    }
    if (ear->carry != NULL) {
        free(ear->carry);
        ear->carry = NULL;
    }
    return 0;
}
