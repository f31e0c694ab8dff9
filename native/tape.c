/*
 * The tape of one call: what evidence/tape.py does, as it says there why, but placed at once and without an object per
 * frame. The loop's thread places, the writer's thread writes; both hold the interpreter while they touch a tape, and
 * the writer lets go of it while the disk works on a copy.
 */
#include "hot.h"

#include <sys/mman.h>
#include <unistd.h>

#define FRAME 160
#define SLACK (2 * FRAME)
#define NEAR 6400
#define KEPT 40000
#define SETTLED 16000
#define PIECE 8000 /* samples of one write */
#define HEADER 58
#define MOST_FRAMES 20000
#define MOST_TEXT (4 * 1024 * 1024)
#define MOST_SAMPLES (3600 * 8000) /* from what is on the disk to what is placed: nobody waits so long */
#define ROOM 16384 /* NEAR, what comes between two writes, and a little */
#define SILENCE 0xff

/* One side: what lies behind the tape's base. The sample `at` stands in the ring at `at` modulo its size. */
typedef struct {
    uint8_t *ring;
    int64_t room; /* a power of two */
    int64_t end;
} Side;

typedef struct {
    int64_t begin, end;
} Span;

typedef struct {
    Span *spans;
    size_t room, n;
} Spans;

typedef struct {
    PyObject_HEAD
    /* touched by every frame of the caller; the figures are samples since t0 */
    double t0;
    int64_t base;  /* where both sides begin */
    int64_t dirty; /* from here on the disk does not say what we know */
    int64_t until; /* as far as time has gone */
    int64_t caller_end;
    Side caller;
    uint32_t waiting_frames, stopped;
    Side agent;
    int64_t agent_end;
    int64_t length; /* on the disk */
    int64_t headed; /* of it the header says so much */
    int64_t unsettled; /* how far time had gone when a hole came or was closed */
    Spans holes;    /* of the caller's side; the latest last */
    Spans pauses;   /* one that is still on has no end: -1 */
    size_t waiting_text;
    long long dropped;
} Tape;

static PyObject *loose_base64; /* binascii.a2b_base64: what is not plain base64 is read as Python reads it */

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* ------------------------------------------------------------------------------------------------------ one side */

static uint8_t *spot(const Side *side, int64_t at) { return side->ring + (at & (side->room - 1)); }

/* How many samples from `at` on stand in one piece. */
static int64_t run(const Side *side, int64_t at, int64_t most) { return smaller(most, side->room - (at & (side->room - 1))); }

/* Without audio: silence. */
static void side_set(Side *side, int64_t at, const uint8_t *audio, int64_t n)
{
    for (int64_t some; n > 0; at += some, n -= some) {
        some = run(side, at, n);
        if (audio == NULL)
            memset(spot(side, at), SILENCE, (size_t)some);
        else {
            memcpy(spot(side, at), audio, (size_t)some);
            audio += some;
        }
    }
}

/* Samples from `at` on as they are; what is not there is silence. In one piece, made in `spare` where it is not. */
static const uint8_t *side_get(const Side *side, int64_t at, int64_t n, uint8_t *spare)
{
    int64_t there = larger(0, smaller(n, side->end - at));
    if (there == n && n && run(side, at, n) == n)
        return spot(side, at);
    memset(spare + there, SILENCE, (size_t)(n - there));
    uint8_t *to = spare;
    for (int64_t some; there > 0; at += some, there -= some, to += some) {
        some = run(side, at, there);
        memcpy(to, spot(side, at), (size_t)some);
    }
    return spare;
}

static void side_free(Side *side)
{
    if (side->ring != NULL)
        munmap(side->ring, (size_t)side->room);
    side->ring = NULL;
    side->room = 0;
}

/* Another ring, with what is behind `base`. By mmap: what is given back is the system's again. */
static int side_move(Side *side, int64_t base, int64_t room)
{
    Side to = {mmap(NULL, (size_t)room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), room, side->end};
    if (to.ring == MAP_FAILED)
        return -1;
    for (int64_t at = base, some; at < side->end; at += some) {
        some = run(side, at, side->end - at);
        side_set(&to, at, spot(side, at), some);
    }
    side_free(side);
    *side = to;
    return 0;
}

/* A ring for all that lies between. */
static int side_fit(Side *side, int64_t base, int64_t end)
{
    int64_t room = larger(side->room, ROOM);
    while (room < end - base)
        room *= 2;
    return room == side->room ? 0 : side_move(side, base, room);
}

/* What is before `base` is not needed any more; neither is a ring that once held minutes of an agent's speech. */
static void side_forget(Side *side, int64_t base)
{
    int64_t room = side->room;
    side->end = larger(side->end, base);
    while (room > ROOM && side->end - base <= room / 4)
        room /= 2;
    if (room < side->room)
        side_move(side, base, room); /* without the memory for a smaller one the larger stays */
}

/* ---------------------------------------------------------------------------------------------------------- spans */

static int spans_add(Spans *spans, int64_t begin, int64_t end)
{
    if (spans->n == spans->room) {
        Span *more = realloc(spans->spans, (spans->room + 8) * sizeof *more);
        if (more == NULL)
            return -1;
        spans->spans = more;
        spans->room += 8;
    }
    spans->spans[spans->n].begin = begin;
    spans->spans[spans->n++].end = end;
    return 0;
}

static void spans_free(Spans *spans)
{
    free(spans->spans);
    memset(spans, 0, sizeof *spans);
}

/* ------------------------------------------------------------------------------------------------------- placing */

/* Nothing is kept any more: whoever cannot keep a pause must not keep what was said in it. */
static void tape_stop(Tape *tape)
{
    tape->stopped = 1;
    side_free(&tape->caller);
    side_free(&tape->agent);
    spans_free(&tape->holes);
    spans_free(&tape->pauses);
}

/* The nearest whole number, as Python rounds. */
static int64_t nearest(double figure)
{
    if (!(figure > -1e12 && figure < 1e12))
        return 0;
    volatile double rounded = figure + 6755399441055744.0; /* 1.5 * 2^52: a sum up there has no fraction left */
    return (int64_t)(rounded - 6755399441055744.0);
}

static int64_t sample_of(Tape *tape, double now)
{
    int64_t at = larger(0, nearest((now - tape->t0) * 8000));
    tape->until = larger(tape->until, at);
    return at;
}

/* Audio into a side, at its end or behind it; where it ends, or -1 without the memory. */
static int64_t place(Tape *tape, Side *side, int64_t begin, const uint8_t *audio, size_t n)
{
    int64_t end = begin + (int64_t)n;
    if (begin < tape->base) { /* what is forgotten cannot be placed anew */
        size_t early = (size_t)smaller(tape->base - begin, (int64_t)n);
        audio += early;
        n -= early;
        begin = tape->base;
    }
    if (begin < side->end || end - tape->base > MOST_SAMPLES || side_fit(side, tape->base, begin + (int64_t)n) < 0)
        return -1;
    side_set(side, side->end, NULL, begin - side->end);
    side_set(side, begin, audio, (int64_t)n);
    side->end = begin + (int64_t)n;
    tape->dirty = smaller(tape->dirty, begin);
    return larger(end, begin);
}

static void close_hole(Tape *tape, int64_t samples)
{
    Span *hole = &tape->holes.spans[tape->holes.n - 1];
    Side *side = &tape->caller;
    int64_t taken = smaller(samples, hole->end - hole->begin), to = hole->begin;
    int64_t from = smaller(to + taken, larger(to, side->end)); /* it is filled when audio comes behind it */
    for (int64_t some; from < side->end; from += some, to += some) {
        some = run(side, from, run(side, to, side->end - from));
        memmove(spot(side, to), spot(side, from), (size_t)some);
    }
    side->end = smaller(side->end, to);
    tape->caller_end -= taken;
    tape->unsettled = tape->until;
    tape->dirty = smaller(tape->dirty, hole->begin);
    if (taken < hole->end - hole->begin)
        hole->end -= taken;
    else
        tape->holes.n--;
}

/* A frame that does not follow the last one: behind a hole, or one that closes a hole. Whether it has a place. */
static int frame_fits(Tape *tape, int64_t begin)
{
    if (begin > tape->caller_end + (tape->caller_end ? SLACK : 0)) {
        int64_t where = larger(tape->caller_end, tape->base);
        if (spans_add(&tape->holes, where, begin) < 0)
            return 0;
        tape->caller_end = begin;
        tape->unsettled = tape->until;
    }
    while (tape->caller_end - begin > FRAME && tape->holes.n)
        close_hole(tape, tape->caller_end - begin);
    return tape->caller_end - begin <= SLACK;
}

static void place_caller(Tape *tape, const uint8_t *audio, size_t n, double now)
{
    int64_t begin = sample_of(tape, now) - (int64_t)n; /* it was spoken in the time before it came */
    int64_t early = tape->caller_end - begin;
    if (tape->caller_end == 0 || early < -SLACK || early > FRAME)
        if (!frame_fits(tape, begin)) {
            tape->dropped++;
            return;
        }
    int64_t end = place(tape, &tape->caller, tape->caller_end, audio, n);
    if (end < 0)
        tape->dropped++;
    else
        tape->caller_end = end;
}

static void place_agent(Tape *tape, const uint8_t *audio, size_t n, double now)
{
    int64_t end = place(tape, &tape->agent, larger(sample_of(tape, now), tape->agent_end), audio, n);
    if (end < 0)
        tape->dropped++;
    else
        tape->agent_end = end;
}

/* ------------------------------------------------------------------------------------ what the loop's thread calls */

static int has_room(Tape *tape, int is_caller, size_t text_len)
{
    int room = !tape->stopped;
    if (is_caller)
        room = room && tape->waiting_frames++ < MOST_FRAMES;
    else
        room = room && (tape->waiting_text += text_len) <= MOST_TEXT;
    tape->dropped += !room;
    return room;
}

static void place_one(Tape *tape, int is_caller, const uint8_t *audio, size_t n, double now)
{
    if (is_caller)
        place_caller(tape, audio, n, now);
    else
        place_agent(tape, audio, n, now);
}

/* A tape is about to be needed: with hundreds of calls it is not in the cache. */
static void tape_fetch(const Tape *tape)
{
    if (tape != NULL) {
        __builtin_prefetch((const char *)tape + 16, 1);
        __builtin_prefetch((const char *)tape + 80, 1);
    }
}

/* Audio of a usual message, known to be plain base64. */
static void tape_keep(Tape *tape, int is_caller, const char *text, size_t n, double now)
{
    uint8_t audio[USUAL_MOST / 4 * 3];
    const Side *side = is_caller ? &tape->caller : &tape->agent;
    if (side->room)
        for (int line = 0; line < 3; line++)
            __builtin_prefetch(spot(side, side->end + 64 * line), 1);
    if (has_room(tape, is_caller, n))
        place_one(tape, is_caller, audio, base64_decode(text, n, audio), now);
}

static int keep_loosely(Tape *tape, int is_caller, const char *text, Py_ssize_t n, double now)
{
    PyObject *audio = PyObject_CallFunction(loose_base64, "y#", text, n);
    if (audio == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_ValueError))
            return -1;
        PyErr_Clear(); /* the wire has already recorded it */
        if (is_caller)
            place_one(tape, 1, (const uint8_t *)"", 0, now);
        else
            sample_of(tape, now);
        return 0;
    }
    place_one(tape, is_caller, (const uint8_t *)PyBytes_AsString(audio), (size_t)PyBytes_Size(audio), now);
    Py_DECREF(audio);
    return 0;
}

static PyObject *keep_py(PyObject *self, PyObject *args, int is_caller)
{
    Tape *tape = (Tape *)self;
    const char *text;
    Py_ssize_t n;
    int n_bytes; /* as every recorder is given it */
    double now;
    if (!PyArg_ParseTuple(args, "y#id", &text, &n, &n_bytes, &now))
        return NULL;
    if (n <= USUAL_MOST && is_base64(text, (size_t)n))
        tape_keep(tape, is_caller, text, (size_t)n, now);
    else if (has_room(tape, is_caller, (size_t)n) && keep_loosely(tape, is_caller, text, n, now) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *tape_caller(PyObject *self, PyObject *args) { return keep_py(self, args, 1); }

static PyObject *tape_agent(PyObject *self, PyObject *args) { return keep_py(self, args, 0); }

static PyObject *tape_clear(PyObject *self, PyObject *args)
{
    Tape *tape = (Tape *)self;
    double now;
    if (!PyArg_ParseTuple(args, "d", &now))
        return NULL;
    int64_t at = sample_of(tape, now);
    tape->agent.end = smaller(tape->agent.end, larger(at, tape->base));
    tape->agent_end = smaller(tape->agent_end, at);
    Py_RETURN_NONE;
}

static Span *open_pause(Tape *tape)
{
    Span *last = tape->pauses.n ? &tape->pauses.spans[tape->pauses.n - 1] : NULL;
    return last != NULL && last->end < 0 ? last : NULL;
}

static PyObject *tape_pause(PyObject *self, PyObject *args)
{
    Tape *tape = (Tape *)self;
    double now, back = 0;
    if (!PyArg_ParseTuple(args, "d|d", &now, &back))
        return NULL;
    int64_t at = sample_of(tape, now - back);
    if (open_pause(tape) == NULL && !tape->stopped && spans_add(&tape->pauses, at, -1) < 0)
        tape_stop(tape);
    Py_RETURN_NONE;
}

static PyObject *tape_resume(PyObject *self, PyObject *args)
{
    Tape *tape = (Tape *)self;
    double now;
    if (!PyArg_ParseTuple(args, "d", &now))
        return NULL;
    int64_t at = sample_of(tape, now);
    Span *pause = open_pause(tape);
    if (pause != NULL)
        pause->end = at;
    Py_RETURN_NONE;
}

/* ---------------------------------------------------------------------------------- what the writer's thread calls */

static void hush_side(Tape *tape, Side *side, int64_t first, int64_t last)
{
    last = smaller(last, side->end);
    if (first >= last)
        return;
    side_set(side, first, NULL, last - first);
    tape->dirty = smaller(tape->dirty, first);
}

static void hush(Tape *tape)
{
    size_t kept = 0;
    for (size_t i = 0; i < tape->pauses.n; i++) {
        Span pause = tape->pauses.spans[i];
        int64_t last = pause.end < 0 ? tape->until : pause.end;
        hush_side(tape, &tape->caller, larger(pause.begin, tape->base), last);
        hush_side(tape, &tape->agent, larger(pause.begin, tape->base), last);
        if (pause.end < 0 || pause.end > tape->base)
            tape->pauses.spans[kept++] = pause;
    }
    tape->pauses.n = kept;
}

/* What is on the disk and lies far enough back is forgotten. */
static void forget(Tape *tape)
{
    int64_t near = smaller(tape->length - NEAR, tape->caller_end);
    if (tape->length - tape->unsettled > SETTLED)
        tape->holes.n = 0;
    if (tape->holes.n)
        near = smaller(near, tape->holes.spans[0].begin);
    int64_t gone = smaller(tape->dirty, larger(tape->length - KEPT, near)) - tape->base;
    if (gone <= 0)
        return;
    tape->base += gone;
    side_forget(&tape->caller, tape->base);
    side_forget(&tape->agent, tape->base);
    size_t kept = 0;
    for (size_t i = 0; i < tape->holes.n; i++) {
        Span hole = tape->holes.spans[i];
        hole.begin = larger(hole.begin, tape->base);
        if (hole.end > hole.begin)
            tape->holes.spans[kept++] = hole;
    }
    tape->holes.n = kept;
}

static void put_figure(uint8_t *to, uint64_t figure)
{
    uint32_t fits = figure > UINT32_MAX ? UINT32_MAX : (uint32_t)figure;
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(fits >> 8 * i);
}

/* Format tag 7 (µ-law), two channels, 8 kHz. */
static void header(uint8_t *to, int64_t samples)
{
    memcpy(to, "RIFF____WAVEfmt \x12\0\0\0\x07\0\x02\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x08\0\0\0fact\x04\0\0\0____data____",
           HEADER);
    put_figure(to + 4, HEADER - 8 + 2 * (uint64_t)samples);
    put_figure(to + 46, (uint64_t)samples);
    put_figure(to + 54, 2 * (uint64_t)samples);
}

static void interleave(uint8_t *restrict to, const uint8_t *restrict left, const uint8_t *restrict right, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        to[2 * i] = left[i];
        to[2 * i + 1] = right[i];
    }
}

/* 0, or the error's number. */
static int write_at(int fd, const uint8_t *data, size_t n, int64_t at)
{
    while (n) {
        ssize_t done = pwrite(fd, data, n, (off_t)at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return done < 0 ? errno : EIO;
        data += done;
        at += done;
        n -= (size_t)done;
    }
    return 0;
}

/* Write one piece, and the header behind the last one. 1 when there is more, 0 when not, -1 with an exception. */
static int write_piece(Tape *tape, int fd)
{
    uint8_t stereo[2 * PIECE], left[PIECE], right[PIECE], head[HEADER];
    int64_t at = tape->dirty, n = larger(0, smaller(tape->until - at, PIECE));
    int64_t length = larger(tape->length, at + n);
    int last = at + n >= tape->until, failed = 0, is_headed = !last || length == tape->headed;
    if (n) {
        interleave(stereo, side_get(&tape->caller, at, n, left), side_get(&tape->agent, at, n, right), (size_t)n);
        tape->dirty = at + n; /* what is placed anew while the disk works puts it back */
    }
    header(head, length);
    Py_BEGIN_ALLOW_THREADS
    failed = write_at(fd, stereo, 2 * (size_t)n, HEADER + 2 * at);
    if (!failed && !is_headed)
        failed = write_at(fd, head, HEADER, 0); /* it never says more than there is */
    Py_END_ALLOW_THREADS
    if (failed) {
        tape->dirty = smaller(tape->dirty, at);
        errno = failed;
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    tape->length = length;
    if (last)
        tape->headed = length;
    forget(tape);
    return !last;
}

/* write(fd): all that is known so far. Raises OSError; what was not written keeps waiting. */
static PyObject *tape_write(PyObject *self, PyObject *args)
{
    Tape *tape = (Tape *)self;
    int fd, more = 1;
    if (!PyArg_ParseTuple(args, "i", &fd))
        return NULL;
    tape->waiting_frames = tape->waiting_text = 0;
    hush(tape);
    while (more > 0 && !tape->stopped)
        more = write_piece(tape, fd);
    if (more < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *tape_stop_py(PyObject *self, PyObject *unused)
{
    (void)unused;
    tape_stop((Tape *)self);
    Py_RETURN_NONE;
}

/* --------------------------------------------------------------------------------------------------- for Python */

static PyObject *tape_dropped(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromLongLong(((Tape *)self)->dropped);
}

static PyObject *tape_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
    double t0;
    (void)kwds;
    if (!PyArg_ParseTuple(args, "d", &t0))
        return NULL;
    Tape *self = new_object(type);
    if (self == NULL)
        return NULL;
    self->t0 = t0;
    self->headed = -1;
    return (PyObject *)self;
}

static void tape_dealloc(PyObject *self)
{
    tape_stop((Tape *)self);
    free_object(self);
}

static PyMethodDef tape_methods[] = {
    {"caller", tape_caller, METH_VARARGS, NULL}, {"agent", tape_agent, METH_VARARGS, NULL},
    {"clear", tape_clear, METH_VARARGS, NULL},   {"pause", tape_pause, METH_VARARGS, NULL},
    {"resume", tape_resume, METH_VARARGS, NULL}, {"write", tape_write, METH_VARARGS, NULL},
    {"stop", tape_stop_py, METH_NOARGS, NULL},   {NULL, NULL, 0, NULL},
};

static PyGetSetDef tape_figures[] = {{"dropped", tape_dropped, NULL, NULL, NULL}, {NULL, NULL, NULL, NULL, NULL}};

static PyType_Slot tape_slots[] = {
    {Py_tp_new, tape_new},         {Py_tp_dealloc, tape_dealloc}, {Py_tp_methods, tape_methods},
    {Py_tp_getset, tape_figures}, {0, NULL},
};

static PyType_Spec tape_spec = {"offhook._hot.Tape", sizeof(Tape), 0, Py_TPFLAGS_DEFAULT, tape_slots};

/* The tape of which a callback is this method; NULL where it is something else. */
static Tape *tape_of(PyObject *callback, PyCFunction method)
{
    if (!PyObject_TypeCheck(callback, &PyCFunction_Type) || PyCFunction_GetFunction(callback) != method)
        return NULL;
    return (Tape *)PyCFunction_GetSelf(callback);
}

static int tape_ready(void)
{
    PyObject *binascii = PyImport_ImportModule("binascii");
    loose_base64 = binascii == NULL ? NULL : PyObject_GetAttrString(binascii, "a2b_base64");
    Py_XDECREF(binascii);
    return loose_base64 == NULL ? -1 : 0;
}
