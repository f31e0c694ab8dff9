/*
 * Whether a message is exactly of a shape that a wire called usual. A pattern has the names of up to two levels of a
 * JSON object and a rule for each; whatever has another name, a name twice, an escape or a byte that is no printable
 * ASCII does not match, and Python reads it. So what matches here is read alike by any JSON reader.
 */
#include "hot.h"

enum { IS, OWN, OWN_FIGURE, NEXT, ANY, AUDIO, NUMBERED, OBJECT };
static const char *const RULES[] = {"is", "own", "own-figure", "next", "any", "audio", "numbered", "object"};

#define FIELDS 12
#define NAME 24
#define VALUE 72
#define OWNS 3

typedef struct {
    char name[NAME];
    char value[VALUE];
    uint8_t name_len, value_len, rule, parent, own, optional;
} Field;

typedef struct {
    PyObject_HEAD
    Field fields[FIELDS];
    unsigned required;
    uint8_t n;
} Pattern;

/* A value of one call that a field must have. */
typedef struct {
    uint8_t len;
    char text[VALUE];
} Own;

typedef struct {
    const char *audio;
    size_t audio_len;
    uint32_t number;
} Found;

typedef struct {
    const Pattern *pattern;
    const Own *owns;
    const Own *next;
    const char *end;
    unsigned seen;
    Found *found;
} Matching;

static const int8_t *base64_values(void)
{
    static int8_t values[256];
    static int made;
    if (!made) {
        const char *alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        memset(values, -1, sizeof values);
        for (int i = 0; i < 64; i++)
            values[(uint8_t)alphabet[i]] = (int8_t)i;
        made = 1;
    }
    return values;
}

/* Padded base64 with its padding at the end only. Written without branches, so that a compiler makes vectors of it. */
static int is_base64(const char *text, size_t n)
{
    const int8_t *values = base64_values();
    uint8_t bad = 0;
    if (n == 0 || n % 4)
        return 0;
    for (size_t i = 0; i < n - 2; i++) {
        uint8_t c = (uint8_t)text[i], lower = (uint8_t)(c | 0x20);
        uint8_t letter = (uint8_t)(lower - 'a') < 26, digit = (uint8_t)(c - '0') < 10, sign = (c == '+') | (c == '/');
        bad |= (uint8_t)!(letter | digit | sign);
    }
    uint8_t a = (uint8_t)text[n - 2], b = (uint8_t)text[n - 1];
    if (b == '=')
        return !bad && (a == '=' || values[a] >= 0);
    return !bad && values[a] >= 0 && values[b] >= 0;
}

static size_t base64_bytes(const char *text, size_t n)
{
    return n / 4 * 3 - (text[n - 1] == '=') - (text[n - 2] == '=');
}

/* `n` is a multiple of 4, the text has passed is_base64; `out` takes n / 4 * 3 bytes. */
static size_t base64_decode(const char *text, size_t n, uint8_t *out)
{
    const int8_t *values = base64_values();
    uint8_t *to = out;
    for (size_t i = 0; i < n; i += 4, to += 3) {
        uint32_t word = 0;
        for (int k = 0; k < 4; k++)
            word = word << 6 | (uint32_t)(values[(uint8_t)text[i + k]] & 63);
        to[0] = (uint8_t)(word >> 16);
        to[1] = (uint8_t)(word >> 8);
        to[2] = (uint8_t)word;
    }
    return (size_t)(to - out) - (text[n - 1] == '=') - (text[n - 2] == '=');
}

static const char *blanks(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
        p++;
    return p;
}

/* Behind the closing quote of a plain string that begins at `p`, its quote; NULL when it is not plain. */
static const char *plain_string(const char *p, const char *end)
{
    for (p++; p < end; p++) {
        uint8_t c = (uint8_t)*p;
        if (c == '"')
            return p + 1;
        if (c < 0x20 || c > 0x7e || c == '\\')
            return NULL;
    }
    return NULL;
}

static const char *plain_figure(const char *p, const char *end)
{
    const char *start = p;
    while (p < end && p - start < 16 && *p >= '0' && *p <= '9')
        p++;
    if (p == start || p - start > 15 || (p - start > 1 && *start == '0'))
        return NULL;
    return p;
}

static const char *quoted(const char *p, const char *end, const char *text, size_t n)
{
    if ((size_t)(end - p) < n + 2 || *p != '"' || memcmp(p + 1, text, n) || p[n + 1] != '"')
        return NULL;
    return p + n + 2;
}

static const char *match_object(Matching *m, const char *p, int parent);

/* The name of one of our own marks: a prefix and a number as we write it. */
static const char *match_numbered(Matching *m, const Field *field, const char *p)
{
    if (p >= m->end || *p != '"' || (size_t)(m->end - p) < (size_t)field->value_len + 3u)
        return NULL;
    p++;
    if (memcmp(p, field->value, field->value_len))
        return NULL;
    p += field->value_len;
    const char *after = plain_figure(p, m->end);
    if (after == NULL || after - p > 9 || *p == '0' || after >= m->end || *after != '"')
        return NULL;
    uint32_t number = 0;
    for (; p < after; p++)
        number = number * 10 + (uint32_t)(*p - '0');
    m->found->number = number;
    return after + 1;
}

static const char *match_audio(Matching *m, const char *p)
{
    if (p >= m->end || *p != '"')
        return NULL;
    p++;
    const char *close = memchr(p, '"', (size_t)(m->end - p));
    if (close == NULL || !is_base64(p, (size_t)(close - p)))
        return NULL;
    m->found->audio = p;
    m->found->audio_len = (size_t)(close - p);
    return close + 1;
}

static const char *match_value(Matching *m, const Field *field, const char *p)
{
    const Own *own;
    switch (field->rule) {
    case IS:
        return quoted(p, m->end, field->value, field->value_len);
    case OWN:
        own = &m->owns[field->own];
        return own->len ? quoted(p, m->end, own->text, own->len) : NULL;
    case NEXT:
        return m->next->len ? quoted(p, m->end, m->next->text, m->next->len) : NULL;
    case OWN_FIGURE: {
        own = &m->owns[field->own];
        const char *after = plain_figure(p, m->end);
        return after != NULL && after - p == own->len && !memcmp(p, own->text, own->len) ? after : NULL;
    }
    case ANY:
        if (p >= m->end)
            return NULL;
        return *p == '"' ? plain_string(p, m->end) : plain_figure(p, m->end);
    case AUDIO:
        return match_audio(m, p);
    case NUMBERED:
        return match_numbered(m, field, p);
    default:
        return match_object(m, p, (int)(field - m->pattern->fields) + 1);
    }
}

static const Field *field_named(const Matching *m, const char *p, int parent, int *at)
{
    const Pattern *pattern = m->pattern;
    for (int k = 0; k < pattern->n; k++) {
        int i = (*at + k) % pattern->n; /* names mostly come in the order they came in before */
        const Field *field = &pattern->fields[i];
        if (field->parent == parent && quoted(p, m->end, field->name, field->name_len) != NULL) {
            *at = i + 1;
            return field;
        }
    }
    return NULL;
}

static const char *match_object(Matching *m, const char *p, int parent)
{
    int at = parent;
    if (p >= m->end || *p != '{')
        return NULL;
    for (p = blanks(p + 1, m->end);; p = blanks(p + 1, m->end)) {
        const Field *field = field_named(m, p, parent, &at);
        if (field == NULL)
            return NULL;
        unsigned bit = 1u << (field - m->pattern->fields);
        if (m->seen & bit)
            return NULL;
        m->seen |= bit;
        p = blanks(p + field->name_len + 2, m->end);
        if (p >= m->end || *p != ':')
            return NULL;
        p = match_value(m, field, blanks(p + 1, m->end));
        if (p == NULL)
            return NULL;
        p = blanks(p, m->end);
        if (p >= m->end)
            return NULL;
        if (*p == '}')
            return p + 1;
        if (*p != ',')
            return NULL;
    }
}

static int matches(const Pattern *pattern, const Own *owns, const Own *next, const char *p, size_t n, Found *found)
{
    Matching m = {pattern, owns, next, p + n, 0, found};
    p = match_object(&m, blanks(p, m.end), 0);
    return p != NULL && blanks(p, m.end) == m.end && (m.seen & pattern->required) == pattern->required;
}

static int own_set(Own *own, const char *text, Py_ssize_t n)
{
    own->len = 0;
    if (n < 1 || n > VALUE)
        return 0;
    for (Py_ssize_t i = 0; i < n; i++)
        if ((uint8_t)text[i] < 0x20 || (uint8_t)text[i] > 0x7e || text[i] == '"' || text[i] == '\\')
            return 0;
    memcpy(own->text, text, (size_t)n);
    own->len = (uint8_t)n;
    return 1;
}

static int field_set(Field *field, PyObject *given)
{
    const char *name, *rule, *value;
    Py_ssize_t name_len, value_len;
    int parent, own, optional;
    if (!PyArg_ParseTuple(given, "s#ss#iip", &name, &name_len, &rule, &value, &value_len, &parent, &own, &optional))
        return -1;
    int found = -1;
    for (int i = 0; i <= OBJECT; i++)
        if (!strcmp(rule, RULES[i]))
            found = i;
    if (found < 0 || name_len < 1 || name_len > NAME || value_len > VALUE || own < 0 || own >= OWNS || parent < 0 ||
        parent > FIELDS) {
        PyErr_Format(PyExc_ValueError, "no field of a pattern: %s %s", name, rule);
        return -1;
    }
    memcpy(field->name, name, (size_t)name_len);
    memcpy(field->value, value, (size_t)value_len);
    field->name_len = (uint8_t)name_len;
    field->value_len = (uint8_t)value_len;
    field->rule = (uint8_t)found;
    field->parent = (uint8_t)parent;
    field->own = (uint8_t)own;
    field->optional = (uint8_t)optional;
    return 0;
}

static PyObject *pattern_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
    Py_ssize_t n = PyTuple_Size(args);
    (void)kwds;
    if (n < 1 || n > FIELDS)
        return PyErr_Format(PyExc_ValueError, "a pattern has 1 to %d fields", FIELDS);
    Pattern *self = new_object(type);
    if (self == NULL)
        return NULL;
    self->n = (uint8_t)n;
    for (Py_ssize_t i = 0; i < n; i++) {
        if (field_set(&self->fields[i], PyTuple_GetItem(args, i)) < 0) {
            Py_DECREF(self);
            return NULL;
        }
        if (!self->fields[i].optional)
            self->required |= 1u << i;
    }
    return (PyObject *)self;
}

/* For tests: the audio, or the number, of a message that matches; None of one that does not. */
static PyObject *pattern_match(PyObject *self, PyObject *args)
{
    const char *data, *owns[OWNS], *next;
    Py_ssize_t n, lens[OWNS], next_len;
    if (!PyArg_ParseTuple(args, "y#(y#y#y#)y#", &data, &n, &owns[0], &lens[0], &owns[1], &lens[1], &owns[2], &lens[2],
                          &next, &next_len))
        return NULL;
    Own own[OWNS], following;
    for (int i = 0; i < OWNS; i++)
        own_set(&own[i], owns[i], lens[i]);
    own_set(&following, next, next_len);
    Found found = {NULL, 0, 0};
    if (!matches((Pattern *)self, own, &following, data, (size_t)n, &found))
        Py_RETURN_NONE;
    if (found.audio != NULL)
        return PyBytes_FromStringAndSize(found.audio, (Py_ssize_t)found.audio_len);
    return PyLong_FromUnsignedLong(found.number);
}

static void pattern_dealloc(PyObject *self) { free_object(self); }

static PyMethodDef pattern_methods[] = {
    {"match", pattern_match, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot pattern_slots[] = {
    {Py_tp_new, pattern_new},
    {Py_tp_dealloc, pattern_dealloc},
    {Py_tp_methods, pattern_methods},
    {0, NULL},
};

static PyType_Spec pattern_spec = {"offhook._hot.Pattern", sizeof(Pattern), 0, Py_TPFLAGS_DEFAULT, pattern_slots};
