/*
 * A look at one frame, as media/levels.py and bridge/uplink.py look: the tables are theirs, handed over once, and
 * the figures go back to them at every settling.
 */
#include "hot.h"

#define LOOK_TEXT 216 /* 20 ms are enough of a longer message */
#define LOUD_BYTES 8

enum { ZERO = 1, CLIP = 2, A_LAW = 4, STEP = 8, B64 = 16, PAR = 32, LOUD = 64 };

static uint8_t classes_[256], kinds_[256];

typedef struct {
    uint32_t looked, silent, bytes, zero, a_law, b64, odd, even, steps, clip;
    uint32_t classes[16];
    uint8_t before; /* looks that the other side has counted, as far as even or odd goes */
} Meter;

/* The loudness class. */
static int meter_look(Meter *meter, const uint8_t *audio, size_t n)
{
    uint8_t loudest = 0;
    for (size_t i = 0; i < n; i += 8)
        if (classes_[audio[i]] > loudest)
            loudest = classes_[audio[i]];
    meter->looked++;
    meter->classes[loudest & 15]++;
    if (loudest == 0) {
        meter->silent++;
        return 0; /* digital silence says nothing about the codec */
    }
    if ((meter->looked + meter->before) & 1)
        return loudest;
    uint32_t par[2] = {0, 0};
    meter->bytes += (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        uint8_t kind = kinds_[audio[i]];
        meter->zero += kind & ZERO;
        meter->clip += (kind & CLIP) != 0;
        meter->a_law += (kind & A_LAW) != 0;
        meter->steps += (kind & STEP) != 0;
        meter->b64 += (kind & B64) != 0;
        par[i & 1] += (kind & PAR) != 0;
    }
    meter->odd += par[1];
    meter->even += par[0];
    return loudest;
}

static int is_loud(const uint8_t *audio, size_t n)
{
    int loud = 0;
    for (size_t i = 0; i < n; i++)
        loud += (kinds_[audio[i]] & LOUD) != 0;
    return loud >= LOUD_BYTES;
}

/* The figures since the last time, in the order of Meter.figures without frames and bytes; None when there are none. */
static PyObject *meter_take(Meter *meter)
{
    if (meter->looked == 0)
        Py_RETURN_NONE;
    uint32_t own[] = {meter->looked, meter->silent, meter->bytes, meter->zero, meter->a_law,
                      meter->b64,    meter->odd,    meter->even,  meter->steps, meter->clip};
    PyObject *taken = PyTuple_New(26);
    if (taken == NULL)
        return NULL;
    for (int i = 0; i < 26; i++) {
        PyObject *figure = PyLong_FromUnsignedLong(i < 10 ? own[i] : meter->classes[i - 10]);
        if (figure == NULL) {
            Py_DECREF(taken);
            return NULL;
        }
        PyTuple_SetItem(taken, i, figure);
    }
    uint8_t before = (uint8_t)((meter->before + meter->looked) & 1);
    memset(meter, 0, sizeof *meter);
    meter->before = before;
    return taken;
}

static PyObject *tables(PyObject *self, PyObject *args)
{
    const char *classes, *kinds;
    Py_ssize_t n, m;
    (void)self;
    if (!PyArg_ParseTuple(args, "y#y#", &classes, &n, &kinds, &m))
        return NULL;
    if (n != 256 || m != 256)
        return PyErr_Format(PyExc_ValueError, "a table has 256 bytes");
    memcpy(classes_, classes, 256);
    memcpy(kinds_, kinds, 256);
    Py_RETURN_NONE;
}
