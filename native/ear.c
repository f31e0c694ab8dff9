/*
 * Stands between a transport and picows' protocol, and hears each frame before it (frames.c). While a way lies on a
 * connection without TLS it need not wait for the transport: see poll.c.
 */
#include "hot.h"

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
    Py_VISIT(ear->transport);
    Py_VISIT(Py_TYPE(self));
    return 0;
}

static int ear_clear(PyObject *self)
{
    Ear *ear = (Ear *)self;
    poll_forget(ear);
    Py_CLEAR(ear->transport);
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
    if (poll_leave(ear, 0) < 0)
        PyErr_WriteUnraisable(self);
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
        if (poll_leave(self, 1) < 0)
            return NULL;
    } else if (!PyObject_TypeCheck(way, way_type)) {
        return PyErr_Format(PyExc_TypeError, "attach takes a Way or None");
    } else {
        put((PyObject **)&self->way, way);
        self->downwards = (uint8_t)downwards;
    }
    Py_RETURN_NONE;
}

/* reads(loop, transport, fd): read the connection here for as long as a way lies; False where that cannot be. */
static PyObject *ear_reads(PyObject *object, PyObject *args)
{
    Ear *self = (Ear *)object;
    PyObject *loop, *transport;
    int fd;
    if (!PyArg_ParseTuple(args, "OOi", &loop, &transport, &fd))
        return NULL;
    int joined = self->way == NULL ? 0 : poll_join(self, loop, transport, fd);
    return joined < 0 ? NULL : PyBool_FromLong(joined);
}

/* The transport reads again. */
static PyObject *ear_leave(PyObject *self, PyObject *unused)
{
    (void)unused;
    if (poll_leave((Ear *)self, 1) < 0)
        return NULL;
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
    {"reads", ear_reads, METH_VARARGS, NULL},
    {"leave", ear_leave, METH_NOARGS, NULL},
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
