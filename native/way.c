/*
 * The straight way of one call, both directions: what is usual goes from one socket to the other here, and what the
 * rest of the call has to know of it is written down in a few numbers until `take` is asked for them. Python replays
 * these to the bridge and the journal before either hears of anything else, so their rules stand in one place.
 */
#include "hot.h"

#define NOTES 96  /* deltas, marks and looks between two settlings */
#define LENGTHS 4 /* of deltas whose shape is on record */
#define MARKS_MOST 900000000u

#define NOT_LOOKED 255

enum { LOOKED_UP, PASSED_DOWN, MARK_CAME };
enum { STREAM, RESPONSE = 0, ITEM = 1, CONTENT = 2 }; /* which of a call's own values a pattern asks for */

typedef struct {
    double at;
    uint32_t value;
    uint8_t kind, marked, level;
} Note;

typedef struct {
    PyObject_HEAD
    /* touched by every frame of the caller */
    uint8_t up_open, down_open, marks_open, marks_wanted, any_length, n_lengths, n_notes, phase;
    uint16_t frames, settle_every, look_every;
    uint16_t up_text;  /* characters of a usual frame */
    uint32_t up_bytes; /* of its audio */
    Own next;          /* sequence number, as text */
    uint64_t number;   /* and as a figure */
    double last, widest;
    PyObject *clock, *settle, *broke, *up_recorder, *down_recorder;
    Tape *up_tape, *down_tape; /* the recorders, where they are tapes of ours, which they keep alive */
    Pen *to_provider, *to_carrier;
    Pattern *media, *mark, *delta;
    PyObject *up_head, *up_tail;
    Own stream[OWNS];
    /* touched by each piece of the agent's speech */
    PyObject *media_head, *media_tail, *mark_head, *mark_tail;
    Own speech[OWNS];
    uint32_t since_mark, mark_every, marks_sent, long_bytes, down_frames;
    uint32_t lengths[LENGTHS];
    char mark_prefix[8];
    uint8_t mark_prefix_len;
    Note notes[NOTES];
    Meter up, down;
} Way;

static int now_of(Way *way, double *now)
{
    PyObject *at = PyObject_CallNoArgs(way->clock);
    if (at == NULL)
        return -1;
    *now = PyFloat_AsDouble(at);
    Py_DECREF(at);
    return PyErr_Occurred() ? -1 : 0;
}

static void note(Way *way, int kind, uint32_t value, double now, int marked, int level)
{
    Note *next = &way->notes[way->n_notes++];
    next->kind = (uint8_t)kind;
    next->value = value;
    next->at = now;
    next->marked = (uint8_t)marked;
    next->level = (uint8_t)level;
}

static void number_set(Way *way, uint64_t number)
{
    char text[24];
    int n = 0;
    way->number = number;
    for (; number; number /= 10)
        text[n++] = (char)('0' + number % 10);
    way->next.len = (uint8_t)n;
    for (int i = 0; i < n; i++)
        way->next.text[i] = text[n - 1 - i];
}

static void number_next(Way *way)
{
    char *last = &way->next.text[way->next.len - 1];
    if (*last == '9') {
        number_set(way, way->number + 1);
        return;
    }
    way->number++;
    ++*last;
}

static Part part_of(PyObject *bytes)
{
    Part part = {PyBytes_AsString(bytes), (size_t)PyBytes_Size(bytes)};
    return part;
}

static int settle_if(Way *way, int due)
{
    if (!due)
        return 0;
    PyObject *done = PyObject_CallNoArgs(way->settle);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* An error of ours while a frame was passed on: the call ends by name, and the frame that did it goes on record. */
static int tell_broke(Way *way, const char *data, size_t n, double now)
{
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback != NULL)
        PyException_SetTraceback(error, traceback);
    PyObject *done = PyObject_CallFunction(way->broke, "Oy#d", error, data, (Py_ssize_t)n, now);
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static int record(Way *way, int is_caller, const Found *found, uint32_t n_bytes, double now)
{
    Tape *tape = is_caller ? way->up_tape : way->down_tape;
    PyObject *recorder = is_caller ? way->up_recorder : way->down_recorder;
    if (tape != NULL) {
        tape_keep(tape, is_caller, found->audio, found->audio_len, now);
        return 0;
    }
    if (recorder == Py_None)
        return 0;
    PyObject *done =
        PyObject_CallFunction(recorder, "y#Id", found->audio, (Py_ssize_t)found->audio_len, (unsigned)n_bytes, now);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static int write_up(Way *way, const Found *found)
{
    Scratch *s = scratch();
    Out out = {s->out, s->out};
    Part parts[3] = {part_of(way->up_head), {found->audio, found->audio_len}, part_of(way->up_tail)};
    Pen *pen = way->to_provider;
    Py_INCREF((PyObject *)pen);
    int bad = pen_put(pen, &out, parts, 3) < 0 || pen_flush(pen, &out) < 0;
    Py_DECREF((PyObject *)pen);
    return bad ? -1 : 0;
}

/* Whether the meters shall look at this frame; they do while it is still unsettled. */
static void look_up(Way *way, const Found *found, double now)
{
    uint8_t audio[LOOK_TEXT / 4 * 3];
    if (++way->phase < way->look_every)
        return;
    way->phase = 0;
    if (way->frames == 0)
        return;
    size_t n = base64_decode(found->audio, found->audio_len, audio);
    note(way, LOOKED_UP, is_loud(audio, n), now, 0, meter_look(&way->up, audio, n));
}

static int pass_up(Way *way, const Found *found, const char *data, size_t n)
{
    double now;
    if (now_of(way, &now) < 0)
        return -1;
    if (now - way->last > way->widest)
        way->widest = now - way->last;
    way->last = now;
    way->frames++;
    number_next(way);
    if (record(way, 1, found, way->up_bytes, now) < 0)
        return -1;
    if (write_up(way, found) < 0 && tell_broke(way, data, n, now) < 0)
        return -1;
    look_up(way, found, now);
    return settle_if(way, way->frames >= way->settle_every || way->n_notes >= NOTES - 1);
}

static int mark_came(Way *way, const Found *found)
{
    double now;
    if (now_of(way, &now) < 0)
        return -1;
    number_next(way);
    note(way, MARK_CAME, found->number, now, 0, NOT_LOOKED);
    return settle_if(way, way->n_notes >= NOTES - 1);
}

/* A text message of the carrier: 1 when it went this way, 0 when Python has to read it, -1 with an exception. */
static int way_up(Way *way, const char *data, size_t n)
{
    Found found = {NULL, 0, 0};
    if (!way->up_open || way->next.len == 0 || way->n_notes >= NOTES)
        return 0;
    int passed = 0;
    Py_INCREF((PyObject *)way);
    tape_fetch(way->up_tape);
    if (matches(way->media, way->stream, &way->next, data, n, &found)) {
        if (found.audio_len == way->up_text && base64_bytes(found.audio, found.audio_len) == way->up_bytes)
            passed = pass_up(way, &found, data, n) < 0 ? -1 : 1;
    } else if (way->marks_open && matches(way->mark, way->stream, &way->next, data, n, &found))
        passed = mark_came(way, &found) < 0 ? -1 : 1;
    Py_DECREF((PyObject *)way);
    return passed;
}

static int length_known(Way *way, uint32_t n_bytes)
{
    for (int i = 0; i < way->n_lengths; i++)
        if (way->lengths[i] == n_bytes)
            return 1;
    return way->any_length;
}

static size_t mark_name(Way *way, char *to)
{
    memcpy(to, way->mark_prefix, way->mark_prefix_len);
    return way->mark_prefix_len + (size_t)snprintf(to + way->mark_prefix_len, 12, "%u", (unsigned)way->marks_sent);
}

static int write_down(Way *way, const Found *found, int marked)
{
    Scratch *s = scratch();
    Out out = {s->out, s->out};
    char name[24];
    Part audio[3] = {part_of(way->media_head), {found->audio, found->audio_len}, part_of(way->media_tail)};
    Part mark[3] = {part_of(way->mark_head), {name, marked ? mark_name(way, name) : 0}, part_of(way->mark_tail)};
    Pen *pen = way->to_carrier;
    Py_INCREF((PyObject *)pen);
    int bad = pen_put(pen, &out, audio, 3) < 0;
    bad = bad || (marked && pen_put(pen, &out, mark, 3) < 0);
    bad = bad || pen_flush(pen, &out) < 0;
    Py_DECREF((PyObject *)pen);
    return bad ? -1 : 0;
}

/* The level of this piece, where it is due to be looked at. */
static int look_down(Way *way, const Found *found, uint32_t n_bytes)
{
    uint8_t audio[LOOK_TEXT / 4 * 3];
    way->down_frames = (way->down_frames + 1) % way->look_every;
    if (n_bytes <= way->long_bytes && way->down_frames)
        return NOT_LOOKED;
    size_t n = found->audio_len > LOOK_TEXT ? LOOK_TEXT : found->audio_len;
    return meter_look(&way->down, audio, base64_decode(found->audio, n, audio));
}

static int pass_down(Way *way, const Found *found, const char *data, size_t n, uint32_t n_bytes)
{
    double now;
    if (now_of(way, &now) < 0)
        return -1;
    way->since_mark += n_bytes;
    int marked = way->since_mark >= way->mark_every;
    if (marked) {
        way->since_mark = 0;
        if (way->marks_wanted)
            way->marks_sent++;
        else
            marked = 0;
    }
    note(way, PASSED_DOWN, n_bytes, now, marked, look_down(way, found, n_bytes));
    if (write_down(way, found, marked) < 0 && tell_broke(way, data, n, now) < 0)
        return -1;
    if (record(way, 0, found, n_bytes, now) < 0)
        return -1;
    return settle_if(way, way->n_notes >= NOTES - 1);
}

/* The same for a text message of the provider. */
static int way_down(Way *way, const char *data, size_t n)
{
    Found found = {NULL, 0, 0};
    if (!way->down_open || way->n_notes >= NOTES || !matches(way->delta, way->speech, &way->next, data, n, &found))
        return 0;
    uint32_t n_bytes = (uint32_t)base64_bytes(found.audio, found.audio_len);
    if (!length_known(way, n_bytes) || found.audio_len > USUAL_MOST - 512 || way->marks_sent > MARKS_MOST)
        return 0;
    Py_INCREF((PyObject *)way);
    int passed = pass_down(way, &found, data, n, n_bytes) < 0 ? -1 : 1;
    Py_DECREF((PyObject *)way);
    return passed;
}

/* ------------------------------------------------------------------------------------------------ for Python */

static PyObject *way_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
    PyObject *clock, *settle, *broke;
    int settle_every, look_every;
    (void)kwds;
    if (!PyArg_ParseTuple(args, "OOOii", &clock, &settle, &broke, &settle_every, &look_every))
        return NULL;
    if (settle_every < 1 || settle_every > 1000 || look_every < 1 || look_every > 100 ||
        settle_every / look_every >= NOTES / 2)
        return PyErr_Format(PyExc_ValueError, "settled every %d frames, looked at every %d", settle_every, look_every);
    Way *self = new_object(type);
    if (self == NULL)
        return NULL;
    self->clock = Py_NewRef(clock);
    self->settle = Py_NewRef(settle);
    self->broke = Py_NewRef(broke);
    self->up_recorder = Py_NewRef(Py_None);
    self->down_recorder = Py_NewRef(Py_None);
    self->settle_every = (uint16_t)settle_every;
    self->look_every = (uint16_t)look_every;
    return (PyObject *)self;
}

static void put(PyObject **place, PyObject *value)
{
    PyObject *before = *place;
    *place = Py_NewRef(value);
    Py_XDECREF(before);
}

static PyTypeObject *pattern_type, *pen_type;

/* lay_up(pen, media, mark, stream id, head, tail, characters, bytes, recorder) */
static PyObject *way_lay_up(PyObject *object, PyObject *args)
{
    Way *self = (Way *)object;
    PyObject *pen, *media, *mark, *head, *tail, *recorder;
    const char *stream;
    Py_ssize_t stream_len;
    int text, n_bytes;
    if (!PyArg_ParseTuple(args, "O!O!O!y#SSiiO", pen_type, &pen, pattern_type, &media, pattern_type, &mark, &stream,
                          &stream_len, &head, &tail, &text, &n_bytes, &recorder))
        return NULL;
    if (text < 4 || text > LOOK_TEXT || text % 4 || PyBytes_Size(head) + PyBytes_Size(tail) > 512)
        return PyErr_Format(PyExc_ValueError, "a usual frame of %d characters", text);
    if (!own_set(&self->stream[STREAM], stream, stream_len))
        Py_RETURN_FALSE; /* an id that JSON would have to escape: all goes the ordinary way */
    put((PyObject **)&self->to_provider, pen);
    put((PyObject **)&self->media, media);
    put((PyObject **)&self->mark, mark);
    put(&self->up_head, head);
    put(&self->up_tail, tail);
    put(&self->up_recorder, recorder);
    self->up_tape = tape_of(recorder, tape_caller);
    self->up_text = (uint16_t)text;
    self->up_bytes = (uint32_t)n_bytes;
    self->up_open = 1;
    Py_RETURN_TRUE;
}

/* lay_down(pen, delta, media head, tail, mark head, tail, mark's prefix, mark every, long bytes, recorder) */
static PyObject *way_lay_down(PyObject *object, PyObject *args)
{
    Way *self = (Way *)object;
    PyObject *pen, *delta, *head, *tail, *mark_head, *mark_tail, *recorder;
    const char *prefix;
    Py_ssize_t prefix_len;
    unsigned mark_every, long_bytes;
    if (!PyArg_ParseTuple(args, "O!O!SSSSy#IIO", pen_type, &pen, pattern_type, &delta, &head, &tail, &mark_head,
                          &mark_tail, &prefix, &prefix_len, &mark_every, &long_bytes, &recorder))
        return NULL;
    Py_ssize_t around = PyBytes_Size(head) + PyBytes_Size(tail) + PyBytes_Size(mark_head) + PyBytes_Size(mark_tail);
    if (prefix_len > (Py_ssize_t)sizeof self->mark_prefix || around > 512)
        return PyErr_Format(PyExc_ValueError, "heads and tails of %zd bytes", around);
    put((PyObject **)&self->to_carrier, pen);
    put((PyObject **)&self->delta, delta);
    put(&self->media_head, head);
    put(&self->media_tail, tail);
    put(&self->mark_head, mark_head);
    put(&self->mark_tail, mark_tail);
    put(&self->down_recorder, recorder);
    self->down_tape = tape_of(recorder, tape_agent);
    memcpy(self->mark_prefix, prefix, (size_t)prefix_len);
    self->mark_prefix_len = (uint8_t)prefix_len;
    self->mark_every = mark_every;
    self->long_bytes = long_bytes;
    Py_RETURN_NONE;
}

/* expect(sequence number or 0, last frame at, looks before) */
static PyObject *way_expect(PyObject *object, PyObject *args)
{
    Way *self = (Way *)object;
    unsigned long long number;
    int looked;
    if (!PyArg_ParseTuple(args, "Kdi", &number, &self->last, &looked))
        return NULL;
    number_set(self, number);
    self->up.before = (uint8_t)(looked & 1);
    Py_RETURN_NONE;
}

/* speak(response, item, content index, since mark, marks sent, marks wanted, marks open, lengths, any, frames, looks) */
static PyObject *way_speak(PyObject *object, PyObject *args)
{
    Way *self = (Way *)object;
    const char *response, *item;
    Py_ssize_t response_len, item_len;
    int content, wanted, open, any, looked;
    unsigned long frames;
    PyObject *lengths;
    if (!PyArg_ParseTuple(args, "y#y#iIIppO!pki", &response, &response_len, &item, &item_len, &content,
                          &self->since_mark, &self->marks_sent, &wanted, &open, &PyTuple_Type, &lengths, &any, &frames,
                          &looked))
        return NULL;
    char figure[16];
    int figures = snprintf(figure, sizeof figure, "%d", content);
    self->down_open = self->to_carrier != NULL && content >= 0 &&
                      own_set(&self->speech[RESPONSE], response, response_len) &&
                      own_set(&self->speech[ITEM], item, item_len) && own_set(&self->speech[CONTENT], figure, figures);
    self->marks_wanted = (uint8_t)wanted;
    self->marks_open = (uint8_t)open;
    self->any_length = (uint8_t)any;
    self->n_lengths = 0;
    for (Py_ssize_t i = 0; i < PyTuple_Size(lengths) && i < LENGTHS; i++)
        self->lengths[self->n_lengths++] = (uint32_t)PyLong_AsUnsignedLong(PyTuple_GetItem(lengths, i));
    self->down_frames = (uint32_t)(frames % self->look_every);
    self->down.before = (uint8_t)(looked & 1);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *told(const Note *note)
{
    PyObject *parts[] = {PyLong_FromLong(note->kind), PyLong_FromUnsignedLong(note->value), PyFloat_FromDouble(note->at),
                         PyLong_FromLong(note->marked), PyLong_FromLong(note->level)};
    PyObject *all = PyTuple_New(5);
    for (int i = 0; i < 5; i++)
        if (all == NULL || parts[i] == NULL) {
            Py_CLEAR(all);
            Py_XDECREF(parts[i]);
        } else
            PyTuple_SetItem(all, i, parts[i]);
    return all;
}

static PyObject *notes_take(Way *self)
{
    PyObject *notes = PyTuple_New(self->n_notes);
    for (int i = 0; notes != NULL && i < self->n_notes; i++) {
        PyObject *one = told(&self->notes[i]);
        if (one == NULL)
            Py_CLEAR(notes);
        else
            PyTuple_SetItem(notes, i, one);
    }
    return notes;
}

/* Pieces of speech since the last settling, and their bytes. */
static void spoken(const Way *self, unsigned *pieces, unsigned *n_bytes)
{
    *pieces = *n_bytes = 0;
    for (int i = 0; i < self->n_notes; i++)
        if (self->notes[i].kind == PASSED_DOWN) {
            ++*pieces;
            *n_bytes += self->notes[i].value;
        }
}

/*
 * (frames, widest gap, last at, looks up, looks down, pieces of speech, their bytes, notes) since the last time, or
 * None. From here on the agent's speech and the marks go the ordinary way, until `speak` says how things stand.
 */
static PyObject *way_take(PyObject *object, PyObject *unused)
{
    Way *self = (Way *)object;
    (void)unused;
    self->down_open = self->marks_open = 0;
    if (self->frames == 0 && self->n_notes == 0)
        Py_RETURN_NONE;
    PyObject *notes = notes_take(self), *up = meter_take(&self->up), *down = meter_take(&self->down);
    if (notes == NULL || up == NULL || down == NULL) {
        Py_XDECREF(notes);
        Py_XDECREF(up);
        Py_XDECREF(down);
        return NULL;
    }
    unsigned pieces, n_bytes;
    spoken(self, &pieces, &n_bytes);
    PyObject *taken = Py_BuildValue("(iddNNIIN)", (int)self->frames, self->widest, self->last, up, down, pieces, n_bytes,
                                    notes);
    self->frames = 0;
    self->n_notes = 0;
    return taken;
}

/* What `take` would count: (frames of the caller, their bytes, pieces of speech, their bytes, last frame at). */
static PyObject *way_pending(PyObject *object, PyObject *unused)
{
    Way *self = (Way *)object;
    unsigned pieces, n_bytes;
    (void)unused;
    spoken(self, &pieces, &n_bytes);
    return Py_BuildValue("(iIIId)", (int)self->frames, (unsigned)self->frames * self->up_bytes, pieces, n_bytes,
                         self->last);
}

static PyObject *way_up_py(PyObject *self, PyObject *args)
{
    const char *data;
    Py_ssize_t n;
    if (!PyArg_ParseTuple(args, "y#", &data, &n))
        return NULL;
    int passed = n > USUAL_MOST ? 0 : way_up((Way *)self, data, (size_t)n);
    return passed < 0 ? NULL : PyBool_FromLong(passed);
}

static PyObject *way_down_py(PyObject *self, PyObject *args)
{
    const char *data;
    Py_ssize_t n;
    if (!PyArg_ParseTuple(args, "y#", &data, &n))
        return NULL;
    int passed = n > USUAL_MOST ? 0 : way_down((Way *)self, data, (size_t)n);
    return passed < 0 ? NULL : PyBool_FromLong(passed);
}

#define EACH_REFERENCE(self, DO) \
    DO((self)->clock) DO((self)->settle) DO((self)->broke) DO((self)->up_recorder) DO((self)->down_recorder) \
    DO((self)->to_provider) DO((self)->to_carrier) DO((self)->media) DO((self)->mark) DO((self)->delta) \
    DO((self)->up_head) DO((self)->up_tail) DO((self)->media_head) DO((self)->media_tail) DO((self)->mark_head) \
    DO((self)->mark_tail)

#define VISIT(field) Py_VISIT(field);
#define CLEAR(field) Py_CLEAR(field);

static int way_traverse(PyObject *self, visitproc visit, void *arg)
{
    EACH_REFERENCE((Way *)self, VISIT)
    Py_VISIT(Py_TYPE(self));
    return 0;
}

static int way_clear(PyObject *self)
{
    Way *way = (Way *)self;
    way->up_open = way->down_open = way->marks_open = 0;
    way->up_tape = way->down_tape = NULL;
    EACH_REFERENCE(way, CLEAR)
    return 0;
}

/* The end of this way: nothing goes through it any more, and it keeps nobody alive. */
static PyObject *way_close(PyObject *self, PyObject *unused)
{
    Way *way = (Way *)self;
    (void)unused;
    way->up_open = way->down_open = way->marks_open = 0;
    Py_RETURN_NONE;
}

static void way_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    way_clear(self);
    free_object(self);
}

static PyMethodDef way_methods[] = {
    {"lay_up", way_lay_up, METH_VARARGS, NULL}, {"lay_down", way_lay_down, METH_VARARGS, NULL},
    {"expect", way_expect, METH_VARARGS, NULL}, {"speak", way_speak, METH_VARARGS, NULL},
    {"take", way_take, METH_NOARGS, NULL},      {"pending", way_pending, METH_NOARGS, NULL},
    {"up", way_up_py, METH_VARARGS, NULL},      {"down", way_down_py, METH_VARARGS, NULL},
    {"close", way_close, METH_NOARGS, NULL},        {NULL, NULL, 0, NULL},
};

static PyType_Slot way_slots[] = {
    {Py_tp_new, way_new},     {Py_tp_dealloc, way_dealloc}, {Py_tp_traverse, way_traverse},
    {Py_tp_clear, way_clear}, {Py_tp_methods, way_methods}, {0, NULL},
};

static PyType_Spec way_spec = {"offhook._hot.Way", sizeof(Way), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, way_slots};
