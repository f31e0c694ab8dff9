/*
 * What the parts of the compiled way share. One translation unit (module.c includes the rest), the limited API of
 * CPython 3.11, no wire's names: the legs hand in patterns, and Python stays the judge of all that is not usual.
 */
#ifndef OFFHOOK_HOT_H
#define OFFHOOK_HOT_H

#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifndef MSG_NOSIGNAL /* macOS: the loop's own sockets ignore SIGPIPE, as Python does for the process */
#define MSG_NOSIGNAL 0
#endif

/* The largest message that goes straight; a read and a write fit four of them. */
#define USUAL_MOST 16384
#define SCRATCH (4 * USUAL_MOST)

/*
 * Buffers that every connection of a thread uses in turn, so they stay in the cache: a loop asks for a buffer, reads
 * into it and says so before it does anything else.
 */
typedef struct {
    char in[SCRATCH];
    char plain[USUAL_MOST];
    char out[SCRATCH];
    uint32_t masks[64];
    int masks_left;
} Scratch;

static _Thread_local Scratch *scratch_;

static Scratch *scratch(void)
{
    if (scratch_ == NULL) {
        scratch_ = calloc(1, sizeof *scratch_);
        if (scratch_ == NULL)
            PyErr_NoMemory();
    }
    return scratch_;
}

static void *new_object(PyTypeObject *type)
{
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    return alloc(type, 0);
}

static void free_object(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

#endif
