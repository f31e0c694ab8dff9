/*
 * Reads connections for their transports: one epoll instance for all of a loop's, which the loop itself waits for as for
 * one file. So a usual frame costs no handle of the loop and no call of Python. Whatever is not plain data (an end, an
 * error, urgent bytes, a close under way) is left for the transport to meet: it reads again from there on.
 *
 * One read a connection and turn: nobody who sends without a break keeps the others waiting. Edge-triggered, for the
 * kernel asks a connection twice otherwise: a read that did not fill the buffer took all there was (epoll(7), Q9), one
 * that did is asked for again.
 */
#include "hot.h"

#ifdef __linux__
#include <sys/epoll.h>
#include <unistd.h>

#define READY 256 /* connections served in one turn of the loop */

typedef struct {
    Ear *ear;      /* owned; NULL: free */
    uint32_t turn; /* who had this place before: an event may be older than its connection */
} Place;

typedef struct Poll {
    PyObject_HEAD
    int fd;
    pid_t process; /* a forked child shares what the kernel keeps */
    PyObject *loop;
    Place *places;
    uint32_t n, n_places;
} Poll;

static struct epoll_event wanted(uint32_t place, uint32_t turn)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLPRI | EPOLLET,
                                .data.u64 = (uint64_t)place << 32 | turn};
    return event;
}

static _Thread_local Poll *poll_; /* borrowed: the reader of the thread's loop keeps it */
static PyTypeObject *poll_type;

/* Take a connection out. Nothing of Python is called but what losing a reference does. */
static void poll_forget(Ear *ear)
{
    Poll *poll = ear->poll;
    if (poll == NULL)
        return;
    Place *place = &poll->places[ear->place];
    ear->poll = NULL;
    if (poll->fd >= 0 && poll->process == getpid())
        epoll_ctl(poll->fd, EPOLL_CTL_DEL, ear->fd, NULL);
    place->ear = NULL;
    place->turn++;
    poll->n--;
    Py_DECREF((PyObject *)ear);
}

/* Without connections nothing of it stays in the loop. */
static int poll_end(Poll *poll)
{
    int fd = poll->fd;
    PyObject *loop = poll->loop;
    if (fd < 0)
        return 0;
    poll->fd = -1;
    poll->loop = NULL;
    if (poll_ == poll)
        poll_ = NULL;
    PyObject *done = PyObject_CallMethod(loop, "remove_reader", "i", fd);
    close(fd);
    Py_DECREF(loop);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static int poll_leave(Ear *ear, int resume)
{
    Poll *poll = ear->poll;
    if (poll == NULL)
        return 0;
    PyObject *transport = ear->transport;
    int bad = 0;
    ear->transport = NULL;
    Py_INCREF((PyObject *)poll);
    poll_forget(ear);
    if (poll->n == 0)
        bad = poll_end(poll);
    Py_DECREF((PyObject *)poll);
    if (resume && !bad) {
        PyObject *done = PyObject_CallMethod(transport, "resume_reading", NULL);
        bad = done == NULL ? -1 : 0;
        Py_XDECREF(done);
    }
    Py_DECREF(transport);
    return bad;
}

/* As a transport does where its protocol raises: the loop is told, and the connection dropped. */
static int poll_broke(Poll *poll, Ear *ear)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception))
        return -1;
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback != NULL)
        PyException_SetTraceback(error, traceback);
    PyObject *done = NULL;
    if (ear->poll != NULL) {
        PyObject *loop = Py_NewRef(poll->loop), *transport = Py_NewRef(ear->transport);
        if (poll_leave(ear, 0) == 0)
            done = PyObject_CallMethod(loop, "call_exception_handler", "({s:s,s:O,s:O,s:O})", "message",
                                       "Fatal read error on socket transport", "exception", error, "transport",
                                       transport, "protocol", (PyObject *)ear);
        if (done != NULL) {
            Py_DECREF(done);
            done = PyObject_CallMethod(transport, "abort", NULL);
        }
        Py_DECREF(loop);
        Py_DECREF(transport);
    } else
        done = Py_NewRef(Py_None); /* it has been given back meanwhile */
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static int poll_read(Poll *poll, Ear *ear, uint32_t events)
{
    Scratch *s = scratch();
    if (s == NULL)
        return -1;
    if (ear->deaf || events & ~(uint32_t)EPOLLIN)
        return poll_leave(ear, 1);
    if (ear->carry_n)
        memcpy(s->in, ear->carry, ear->carry_n);
    size_t room = sizeof s->in - ear->carry_n;
    ssize_t n = recv(ear->fd, s->in + ear->carry_n, room, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n <= 0)
        return poll_leave(ear, 1);
    if ((size_t)n == room) {
        struct epoll_event event = wanted(ear->place, poll->places[ear->place].turn);
        if (epoll_ctl(poll->fd, EPOLL_CTL_MOD, ear->fd, &event) != 0)
            return poll_leave(ear, 1);
    }
    if (hear(ear, s->in, ear->carry_n + (size_t)n) < 0)
        return poll_broke(poll, ear);
    return ear->deaf ? poll_leave(ear, 1) : 0;
}

static PyObject *poll_run(PyObject *self, PyObject *unused)
{
    Poll *poll = (Poll *)self;
    struct epoll_event ready[READY];
    PyObject *type, *error, *traceback;
    (void)unused;
    int n = poll->fd < 0 ? 0 : epoll_wait(poll->fd, ready, READY, 0), bad = 0;
    if (n < 0)
        return errno == EINTR ? Py_NewRef(Py_None) : PyErr_SetFromErrno(PyExc_OSError);
    Py_INCREF(self);
    for (int i = 0; i < n && poll->fd >= 0; i++) {
        Place *place = &poll->places[ready[i].data.u64 >> 32];
        Ear *ear = place->ear;
        if (place->turn != (uint32_t)ready[i].data.u64)
            continue; /* it has left meanwhile */
        Py_INCREF((PyObject *)ear);
        if (poll_read(poll, ear, ready[i].events) < 0) { /* told once; the others were asked about only now */
            if (bad)
                PyErr_WriteUnraisable(self);
            else {
                PyErr_Fetch(&type, &error, &traceback);
                bad = 1;
            }
        }
        Py_DECREF((PyObject *)ear);
    }
    Py_DECREF(self);
    if (bad) {
        PyErr_Restore(type, error, traceback);
        return NULL;
    }
    Py_RETURN_NONE;
}

/* Nothing of the connection that comes first shall be seen by the others: the reader runs in a context of its own. */
static PyObject *in_own_context(PyObject *loop, int fd, Poll *poll)
{
    PyObject *module = PyImport_ImportModule("contextvars"), *done = NULL;
    PyObject *context = module ? PyObject_CallMethod(module, "Context", NULL) : NULL;
    PyObject *add = context ? PyObject_GetAttrString(loop, "add_reader") : NULL;
    PyObject *run = add ? PyObject_GetAttrString((PyObject *)poll, "run") : NULL;
    if (run != NULL)
        done = PyObject_CallMethod(context, "run", "OiO", add, fd, run);
    Py_XDECREF(run);
    Py_XDECREF(add);
    Py_XDECREF(context);
    Py_XDECREF(module);
    return done;
}

/* This thread's, for `loop`: an owned reference. */
static Poll *poll_of(PyObject *loop)
{
    if (poll_ != NULL && poll_->loop == loop && poll_->process == getpid())
        return (Poll *)Py_NewRef((PyObject *)poll_);
    Poll *poll = new_object(poll_type);
    if (poll == NULL)
        return NULL;
    poll->process = getpid();
    poll->fd = epoll_create1(EPOLL_CLOEXEC);
    PyObject *done = NULL;
    if (poll->fd < 0)
        PyErr_SetFromErrno(PyExc_OSError);
    else
        done = in_own_context(loop, poll->fd, poll);
    if (done == NULL) {
        Py_DECREF((PyObject *)poll);
        return NULL;
    }
    Py_DECREF(done);
    poll->loop = Py_NewRef(loop);
    poll_ = poll;
    return poll;
}

static int place_for(Poll *poll, uint32_t *free_place)
{
    for (*free_place = 0; *free_place < poll->n_places; ++*free_place)
        if (poll->places[*free_place].ear == NULL)
            return 0;
    uint32_t wanted = poll->n_places ? 2 * poll->n_places : 16;
    Place *places = realloc(poll->places, wanted * sizeof *places);
    if (places == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memset(places + poll->n_places, 0, (wanted - poll->n_places) * sizeof *places);
    poll->places = places;
    poll->n_places = wanted;
    return 0;
}

/* 1: the connection is read here from now on; 0: its transport goes on to read; -1 with an exception. */
static int poll_join(Ear *ear, PyObject *loop, PyObject *transport, int fd)
{
    if (ear->poll != NULL || ear->deaf)
        return ear->poll != NULL;
    PyObject *reads = PyObject_CallMethod(transport, "is_reading", NULL);
    int idle = reads == NULL ? -1 : PyObject_Not(reads);
    Py_XDECREF(reads);
    if (idle)
        return idle < 0 ? -1 : 0;
    Poll *poll = poll_of(loop);
    if (poll == NULL)
        return -1;
    int joined = -1;
    uint32_t at;
    if (place_for(poll, &at) == 0) {
        Place *place = &poll->places[at];
        struct epoll_event event = wanted(at, place->turn);
        joined = epoll_ctl(poll->fd, EPOLL_CTL_ADD, fd, &event) == 0;
        if (joined) {
            place->ear = (Ear *)Py_NewRef((PyObject *)ear);
            poll->n++;
            ear->poll = poll;
            ear->place = at;
            ear->fd = fd;
            ear->transport = Py_NewRef(transport);
            PyObject *done = PyObject_CallMethod(transport, "pause_reading", NULL);
            if (done == NULL)
                joined = -1;
            Py_XDECREF(done);
        }
    }
    if (joined < 0 && ear->poll != NULL) {
        PyObject *type, *error, *traceback;
        PyErr_Fetch(&type, &error, &traceback);
        poll_leave(ear, 0);
        PyErr_Restore(type, error, traceback);
    } else if (poll->n == 0 && joined == 0 && poll_end(poll) < 0)
        joined = -1;
    Py_DECREF((PyObject *)poll);
    return joined;
}

/* ------------------------------------------------------------------------------------------------ for Python */

static int poll_traverse(PyObject *self, visitproc visit, void *arg)
{
    Poll *poll = (Poll *)self;
    Py_VISIT(poll->loop);
    for (uint32_t i = 0; i < poll->n_places; i++)
        Py_VISIT(poll->places[i].ear);
    Py_VISIT(Py_TYPE(self));
    return 0;
}

/* Its loop is gone. */
static int poll_clear(PyObject *self)
{
    Poll *poll = (Poll *)self;
    if (poll_ == poll)
        poll_ = NULL;
    if (poll->fd >= 0)
        close(poll->fd);
    poll->fd = -1;
    for (uint32_t i = 0; i < poll->n_places; i++)
        if (poll->places[i].ear != NULL)
            poll_forget(poll->places[i].ear);
    Py_CLEAR(poll->loop);
    return 0;
}

static void poll_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    poll_clear(self);
    free(((Poll *)self)->places);
    free_object(self);
}

static PyMethodDef poll_methods[] = {
    {"run", poll_run, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot poll_slots[] = {
    {Py_tp_dealloc, poll_dealloc}, {Py_tp_traverse, poll_traverse}, {Py_tp_clear, poll_clear},
    {Py_tp_methods, poll_methods}, {0, NULL},
};

static PyType_Spec poll_spec = {"offhook._hot.Poll", sizeof(Poll), 0,
                                Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                                poll_slots};

#else /* without epoll every transport reads for itself */

static int poll_join(Ear *ear, PyObject *loop, PyObject *transport, int fd)
{
    (void)ear, (void)loop, (void)transport, (void)fd;
    return 0;
}

static int poll_leave(Ear *ear, int resume)
{
    (void)ear, (void)resume;
    return 0;
}

static void poll_forget(Ear *ear) { (void)ear; }

#endif
