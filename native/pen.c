/*
 * Writes text messages to one socket: frames them (RFC 6455, 5.2), masks a client's, and gives them to the kernel when
 * nothing waits in the transport, as picows does. With a function in place of a transport, whole messages go to that.
 */
#include "hot.h"

typedef struct {
    PyObject_HEAD
    int fd; /* -1: through the transport (TLS) */
    uint8_t masked, shut, plain;
    uint8_t empty; /* the transport held nothing when it was asked, and nobody else has written since */
    PyObject *waiting; /* transport.get_write_buffer_size */
    PyObject *write;   /* transport.write, or the function */
} Pen;

/* Frames on their way out, in the thread's buffer. */
typedef struct {
    char *start, *to;
} Out;

typedef struct {
    const char *text;
    size_t n;
} Part;

static int next_mask(uint32_t *mask)
{
    Scratch *s = scratch();
    if (s->masks_left == 0) {
        if (getentropy(s->masks, sizeof s->masks) != 0) {
            PyErr_SetFromErrno(PyExc_OSError);
            return -1;
        }
        s->masks_left = 64;
    }
    *mask = s->masks[--s->masks_left];
    return 0;
}

/* XOR with a mask that begins at the first byte; `to` may be `from`. */
static void xor_mask(char *to, const char *from, size_t n, uint32_t mask)
{
    uint64_t wide = (uint64_t)mask << 32 | mask;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t word;
        memcpy(&word, from + i, 8);
        word ^= wide;
        memcpy(to + i, &word, 8);
    }
    uint8_t bytes[4];
    memcpy(bytes, &mask, 4);
    for (; i < n; i++)
        to[i] = (char)(from[i] ^ bytes[i & 3]);
}

/* One more message behind those in `out`; what all parts hold together fits (see USUAL_MOST). */
static int pen_put(Pen *pen, Out *out, const Part *parts, int n_parts)
{
    size_t n = 0;
    if (pen->shut)
        return 0;
    for (int i = 0; i < n_parts; i++)
        n += parts[i].n;
    char *to = out->to;
    if (!pen->plain) {
        *to++ = (char)0x81;
        char masked = (char)(pen->masked ? 0x80 : 0);
        if (n < 126) {
            *to++ = (char)(masked | (char)n);
        } else { /* USUAL_MOST is below the third form */
            *to++ = (char)(masked | 126);
            *to++ = (char)(n >> 8);
            *to++ = (char)(n & 255);
        }
    }
    uint32_t mask = 0;
    if (pen->masked && !pen->plain) {
        if (next_mask(&mask) < 0)
            return -1;
        memcpy(to, &mask, 4);
        to += 4;
    }
    char *body = to;
    for (int i = 0; i < n_parts; i++) {
        memcpy(to, parts[i].text, parts[i].n);
        to += parts[i].n;
    }
    if (mask)
        xor_mask(body, body, n, mask);
    out->to = to;
    if (!pen->plain)
        return 0;
    PyObject *done = PyObject_CallFunction(pen->write, "y#", body, (Py_ssize_t)n);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* Whether nothing waits in the transport. What we write to an empty one goes to the kernel, so it need not be asked anew. */
static int pen_empty(Pen *pen)
{
    if (pen->empty)
        return 1;
    PyObject *size = PyObject_CallNoArgs(pen->waiting);
    if (size == NULL)
        return -1;
    Py_ssize_t n = PyLong_AsSsize_t(size);
    Py_DECREF(size);
    if (n < 0 && PyErr_Occurred())
        return -1;
    pen->empty = n == 0;
    return pen->empty;
}

static int pen_flush(Pen *pen, Out *out)
{
    const char *from = out->start;
    if (pen->plain || pen->shut)
        return 0;
    if (pen->fd >= 0) {
        int empty = pen_empty(pen);
        if (empty < 0)
            return -1;
        if (empty) {
            ssize_t sent = send(pen->fd, from, (size_t)(out->to - from), MSG_NOSIGNAL | MSG_DONTWAIT);
            if (sent == out->to - from)
                return 0;
            if (sent > 0)
                from += sent; /* an error is the transport's to meet and to tell */
        }
    }
    pen->empty = 0;
    PyObject *rest = PyBytes_FromStringAndSize(from, out->to - from);
    if (rest == NULL)
        return -1;
    PyObject *done = PyObject_CallFunctionObjArgs(pen->write, rest, NULL);
    Py_DECREF(rest);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static PyObject *pen_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
    PyObject *write, *waiting = Py_None;
    int fd = -1, masked = 0;
    (void)kwds;
    if (!PyArg_ParseTuple(args, "O|Oip", &write, &waiting, &fd, &masked))
        return NULL;
    Pen *self = new_object(type);
    if (self == NULL)
        return NULL;
    self->plain = waiting == Py_None;
    self->fd = fd;
    self->masked = (uint8_t)masked;
    self->write = Py_NewRef(write);
    self->waiting = Py_NewRef(waiting);
    return (PyObject *)self;
}

/* Somebody else writes to the transport. */
static PyObject *pen_beside(PyObject *self, PyObject *unused)
{
    (void)unused;
    ((Pen *)self)->empty = 0;
    Py_RETURN_NONE;
}

static PyObject *pen_shut(PyObject *self, PyObject *unused)
{
    (void)unused;
    ((Pen *)self)->shut = 1;
    Py_RETURN_NONE;
}

static int pen_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(((Pen *)self)->write);
    Py_VISIT(((Pen *)self)->waiting);
    Py_VISIT(Py_TYPE(self));
    return 0;
}

static int pen_clear(PyObject *self)
{
    ((Pen *)self)->shut = 1;
    Py_CLEAR(((Pen *)self)->write);
    Py_CLEAR(((Pen *)self)->waiting);
    return 0;
}

static void pen_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    pen_clear(self);
    free_object(self);
}

static PyMethodDef pen_methods[] = {
    {"beside", pen_beside, METH_NOARGS, NULL},
    {"shut", pen_shut, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot pen_slots[] = {
    {Py_tp_new, pen_new},         {Py_tp_dealloc, pen_dealloc}, {Py_tp_traverse, pen_traverse},
    {Py_tp_clear, pen_clear},     {Py_tp_methods, pen_methods}, {0, NULL},
};

static PyType_Spec pen_spec = {"offhook._hot.Pen", sizeof(Pen), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, pen_slots};
