/*
 * offhook._hot: the way of every frame, compiled. See docs/architecture.md, "The path of a frame". One translation
 * unit, so that a compiler sees all of a frame's way at once. Without this module straight.py does the same.
 */
#include "hot.h"

#include "match.c"
#include "meter.c"
#include "pen.c"
#include "tape.c"
#include "way.c"
#include "frames.c"
#include "poll.c"
#include "ear.c"

#ifndef OFFHOOK_SOURCES /* compiled by hand */
#define OFFHOOK_SOURCES ""
#endif

/*
 * One byte into a socket that does not block, as a loop on another thread is woken, and the interpreter is kept: a write
 * that gave it away would come back to it only when that thread waits again. A full socket wakes as well.
 */
static PyObject *nudge(PyObject *module, PyObject *arg)
{
    (void)module;
    long fd = PyLong_AsLong(arg);
    if (fd == -1 && PyErr_Occurred())
        return NULL;
    if (write((int)fd, "", 1) < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"nudge", nudge, METH_O, NULL},
    {"tables", tables, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static int add(PyObject *module, PyType_Spec *spec, const char *name, PyTypeObject **kept)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    if (type == NULL)
        return -1;
    if (kept != NULL)
        *kept = (PyTypeObject *)Py_NewRef(type);
    int bad = PyModule_AddObjectRef(module, name, type);
    Py_DECREF(type);
    return bad;
}

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "offhook._hot", NULL, -1, functions, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__hot(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL)
        return NULL;
    base64_values();
    if (add(module, &pattern_spec, "Pattern", &pattern_type) < 0 || add(module, &pen_spec, "Pen", &pen_type) < 0 ||
        add(module, &way_spec, "Way", &way_type) < 0 || add(module, &ear_spec, "Ear", NULL) < 0 ||
        add(module, &tape_spec, "Tape", NULL) < 0 || tape_ready() < 0 ||
        PyModule_AddStringConstant(module, "SOURCES", OFFHOOK_SOURCES) < 0) {
        Py_DECREF(module);
        return NULL;
    }
#ifdef __linux__
    if (add(module, &poll_spec, "Poll", &poll_type) < 0) {
        Py_DECREF(module);
        return NULL;
    }
#endif
    return module;
}
