/*
 * Stands between a transport and picows' protocol, and looks at each frame before it: a whole text message that goes
 * the straight way is taken here; every other byte goes on to picows as it came, in order. So picows stays the judge of
 * the protocol. What is kept here is only where frames begin.
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

/* ------------------------------------------------------------------------------------- as a transport's protocol */

static PyObject *ear_get_buffer(PyObject *self, PyObject *hint)
{
    (void)hint;
    return Py_NewRef(self);
}

static int ear_getbuffer(PyObject *self, Py_buffer *view, int flags)
{
    Ear *ear = (Ear *)self;
    Scratch *s = scratch();
    if (s == NULL) {
        view->obj = NULL;
        return -1;
    }
    if (ear->carry_n)
        memcpy(s->in, ear->carry, ear->carry_n);
    return PyBuffer_FillInfo(view, self, s->in + ear->carry_n, (Py_ssize_t)(sizeof s->in - ear->carry_n), 0, flags);
}

static Py_ssize_t ear_length(PyObject *self) { return (Py_ssize_t)sizeof(scratch_->in) - ((Ear *)self)->carry_n; }

/* asyncio's TLS reads into slices of what it got from `get_buffer`. */
static PyObject *ear_slice(PyObject *self, PyObject *key)
{
    PyObject *view = PyMemoryView_FromObject(self);
    if (view == NULL)
        return NULL;
    PyObject *part = PyObject_GetItem(view, key);
    Py_DECREF(view);
    return part;
}

static PyObject *ear_buffer_updated(PyObject *self, PyObject *size)
{
    Ear *ear = (Ear *)self;
    Py_ssize_t n = PyLong_AsSsize_t(size);
    if (n < 0 && PyErr_Occurred())
        return NULL;
    if (n < 0 || (size_t)n > sizeof scratch_->in - ear->carry_n)
        return PyErr_Format(PyExc_ValueError, "%zd bytes in the buffer", n);
    Scratch *s = scratch();
    Py_INCREF(self);
    int bad = s == NULL || hear(ear, s->in, ear->carry_n + (size_t)n) < 0;
    Py_DECREF(self);
    if (bad)
        return NULL;
    Py_RETURN_NONE;
}

/* Bytes that came before the transport was ours. */
static PyObject *ear_feed(PyObject *self, PyObject *args)
{
    const char *data;
    Py_ssize_t n;
    if (!PyArg_ParseTuple(args, "y#", &data, &n))
        return NULL;
    while (n > 0) {
        Scratch *s = scratch();
        Ear *ear = (Ear *)self;
        if (s == NULL)
            return NULL;
        size_t room = sizeof s->in - ear->carry_n, k = (size_t)n < room ? (size_t)n : room;
        if (ear->carry_n)
            memcpy(s->in, ear->carry, ear->carry_n);
        memcpy(s->in + ear->carry_n, data, k);
        if (hear(ear, s->in, ear->carry_n + k) < 0)
            return NULL;
        data += k;
        n -= (Py_ssize_t)k;
    }
    Py_RETURN_NONE;
}

static int ear_traverse(PyObject *self, visitproc visit, void *arg)
{
    Ear *ear = (Ear *)self;
    Py_VISIT(ear->way);
    Py_VISIT(ear->get_buffer);
    Py_VISIT(ear->buffer_updated);
    Py_VISIT(ear->inner);
    Py_VISIT(ear->owner);
    Py_VISIT(Py_TYPE(self));
    return 0;
}

static int ear_clear(PyObject *self)
{
    Ear *ear = (Ear *)self;
    Py_CLEAR(ear->way);
    Py_CLEAR(ear->get_buffer);
    Py_CLEAR(ear->buffer_updated);
    Py_CLEAR(ear->inner);
    Py_CLEAR(ear->owner);
    return 0;
}

static void ear_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    ear_clear(self);
    free(((Ear *)self)->carry);
    free_object(self);
}

static PyObject *ear_connection_made(PyObject *self, PyObject *transport)
{
    return PyObject_CallMethod(((Ear *)self)->inner, "connection_made", "O", transport);
}

static PyObject *ear_connection_lost(PyObject *self, PyObject *error)
{
    Ear *ear = (Ear *)self;
    if (ear->inner == NULL)
        Py_RETURN_NONE;
    PyObject *inner = Py_NewRef(ear->inner);
    Py_CLEAR(ear->way);
    PyObject *done = PyObject_CallMethod(inner, "connection_lost", "O", error);
    Py_DECREF(inner);
    ear_clear(self);
    return done;
}

static PyObject *ear_tell(PyObject *self, const char *what)
{
    Ear *ear = (Ear *)self;
    if (ear->inner == NULL)
        Py_RETURN_NONE;
    return PyObject_CallMethod(ear->inner, what, NULL);
}

static PyObject *ear_eof(PyObject *self, PyObject *unused)
{
    (void)unused;
    return ear_tell(self, "eof_received");
}

static PyObject *ear_pause(PyObject *self, PyObject *unused)
{
    (void)unused;
    return ear_tell(self, "pause_writing");
}

static PyObject *ear_resume(PyObject *self, PyObject *unused)
{
    (void)unused;
    return ear_tell(self, "resume_writing");
}

static PyObject *ear_is_buffered(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    Py_RETURN_TRUE;
}

/* ------------------------------------------------------------------------------------------------ for its Socket */

static PyObject *ear_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
    PyObject *inner;
    int masked;
    (void)kwds;
    if (!PyArg_ParseTuple(args, "Op", &inner, &masked) || scratch() == NULL)
        return NULL;
    Ear *self = new_object(type);
    if (self == NULL)
        return NULL;
    self->inner = Py_NewRef(inner);
    self->masked = (uint8_t)masked;
    self->get_buffer = PyObject_GetAttrString(inner, "get_buffer");
    self->buffer_updated = PyObject_GetAttrString(inner, "buffer_updated");
    if (self->get_buffer == NULL || self->buffer_updated == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static PyObject *ear_belongs_to(PyObject *self, PyObject *owner)
{
    put(&((Ear *)self)->owner, owner);
    Py_RETURN_NONE;
}

static PyTypeObject *way_type;

/* attach(way, downwards): usual messages go this way from now on; attach(None) ends that. */
static PyObject *ear_attach(PyObject *object, PyObject *args)
{
    Ear *self = (Ear *)object;
    PyObject *way;
    int downwards = 0;
    if (!PyArg_ParseTuple(args, "O|p", &way, &downwards))
        return NULL;
    if (way == Py_None || self->inner == NULL) {
        Py_CLEAR(self->way);
    } else if (!PyObject_TypeCheck(way, way_type)) {
        return PyErr_Format(PyExc_TypeError, "attach takes a Way or None");
    } else {
        put((PyObject **)&self->way, way);
        self->downwards = (uint8_t)downwards;
    }
    Py_RETURN_NONE;
}

static PyObject *ear_took(PyObject *self, PyObject *unused)
{
    int seen = ((Ear *)self)->seen;
    (void)unused;
    ((Ear *)self)->seen = 0;
    return PyBool_FromLong(seen);
}

static PyMethodDef ear_methods[] = {
    {"get_buffer", ear_get_buffer, METH_O, NULL},
    {"buffer_updated", ear_buffer_updated, METH_O, NULL},
    {"is_buffered_protocol", ear_is_buffered, METH_NOARGS, NULL},
    {"connection_made", ear_connection_made, METH_O, NULL},
    {"connection_lost", ear_connection_lost, METH_O, NULL},
    {"eof_received", ear_eof, METH_NOARGS, NULL},
    {"pause_writing", ear_pause, METH_NOARGS, NULL},
    {"resume_writing", ear_resume, METH_NOARGS, NULL},
    {"feed", ear_feed, METH_VARARGS, NULL},
    {"belongs_to", ear_belongs_to, METH_O, NULL},
    {"attach", ear_attach, METH_VARARGS, NULL},
    {"took", ear_took, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot ear_slots[] = {
    {Py_tp_new, ear_new},
    {Py_tp_dealloc, ear_dealloc},
    {Py_tp_traverse, ear_traverse},
    {Py_tp_clear, ear_clear},
    {Py_tp_methods, ear_methods},
    {Py_mp_length, ear_length},
    {Py_mp_subscript, ear_slice},
    {Py_bf_getbuffer, ear_getbuffer},
    {0, NULL},
};

static PyType_Spec ear_spec = {"offhook._hot.Ear", sizeof(Ear), 0,
                               Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE, ear_slots};
