/* Attributes of a node, read where they are in the file. */
#include <limits.h>
#include <string.h>

#include "internal.h"

bool wg__attribute_parse(wg__span message, wg__attribute *a)
{
    wg__wire wire = wg__wire_of(message);
    *a = (wg__attribute){.list = message};
    int guessed = 0; /* files of IR version 1 have no type */
    for (wg__field f; wg__wire_next(&wire, &f);) {
        if (wg__field_is_bytes(&f, 1)) a->name = f.bytes;
        if (f.number == 2 && f.type == WG__FOUR_BYTES) a->number = wg__field_float(&f), guessed = WG__ATTR_FLOAT;
        if (wg__field_is_integer(&f, 3)) a->integer = (int64_t)f.integer, guessed = WG__ATTR_INT;
        if (wg__field_is_bytes(&f, 4)) a->text = f.bytes, guessed = WG__ATTR_TEXT;
        if (wg__field_is_bytes(&f, 5)) a->tensor = f.bytes, guessed = WG__ATTR_TENSOR;
        if (wg__field_is_bytes(&f, 6)) a->graph = f.bytes, guessed = WG__ATTR_GRAPH;
        if (f.number == 7) guessed = WG__ATTR_FLOATS;
        if (f.number == 8) guessed = WG__ATTR_INTS;
        if (wg__field_is_integer(&f, 20)) a->type = f.integer < 100 ? (int)f.integer : 0;
        if (wg__field_is_bytes(&f, 21)) a->reference = f.bytes;
    }
    if (!a->type) a->type = guessed;
    return !wire.failed;
}

/* The attribute of that name of a node. */
static bool find(const wg__onnx_node *node, wg__span name, wg__attribute *a)
{
    wg__wire wire = wg__wire_of(node->message);
    for (wg__field f; wg__wire_next(&wire, &f);)
        if (wg__field_is_bytes(&f, 5) && wg__attribute_parse(f.bytes, a) && wg__span_equals(a->name, name))
            return true;
    *a = (wg__attribute){0};
    return false;
}

static bool find_default(const wg__frame *frame, wg__span name, wg__attribute *a)
{
    for (int i = 0; i < frame->n_formals; i++)
        if (frame->formals[i].value.size && wg__span_equals(frame->formals[i].name, name))
            return wg__attribute_parse(frame->formals[i].value, a);
    return false;
}

bool wg__attribute_resolve(const wg__onnx_node *node, wg__attribute *a)
{
    const wg__span name = a->name, wanted = a->reference;
    const wg__frame *frame = node->frame;
    if (!wanted.size) return true;
    if (!frame) return false;
    const bool found = (find(frame->call, wanted, a) && wg__attribute_resolve(frame->call, a)) ||
                       (find_default(frame, wanted, a) && !a->reference.size);
    a->name = name;
    a->reference = wanted;
    return found;
}

bool wg__attribute_find(const wg__onnx_node *node, const char *name, wg__attribute *a)
{
    if (find(node, wg__span_of(name), a) && wg__attribute_resolve(node, a)) return true;
    *a = (wg__attribute){0};
    return false;
}

int64_t wg__attribute_bytes(const wg__onnx_node *node)
{
    int64_t n = 0;
    wg__wire wire = wg__wire_of(node->message);
    wg__attribute a;
    for (wg__field f; wg__wire_next(&wire, &f);)
        if (wg__field_is_bytes(&f, 5) && wg__attribute_parse(f.bytes, &a))
            n += (int64_t)f.bytes.size - (int64_t)a.tensor.size - (int64_t)a.graph.size;
    return n;
}

bool wg__attribute_has(const wg__onnx_node *node, const char *name)
{
    wg__attribute a;
    return wg__attribute_find(node, name, &a);
}

int64_t wg__attribute_int(const wg__onnx_node *node, const char *name, int64_t otherwise)
{
    wg__attribute a;
    return wg__attribute_find(node, name, &a) && a.type == WG__ATTR_INT ? a.integer : otherwise;
}

double wg__attribute_float(const wg__onnx_node *node, const char *name, double otherwise)
{
    wg__attribute a;
    return wg__attribute_find(node, name, &a) && a.type == WG__ATTR_FLOAT ? a.number : otherwise;
}

bool wg__attribute_is(const wg__onnx_node *node, const char *name, const char *value, const char *otherwise)
{
    wg__attribute a;
    if (wg__attribute_find(node, name, &a) && a.type == WG__ATTR_TEXT) return wg__span_is(a.text, value);
    return strcmp(value, otherwise) == 0;
}

/* ---- what a row says ---- */

const char *wg__row_attribute(const wg__onnx_row *row, wg__span name)
{
    for (const char *at = row->attributes ? row->attributes : ""; *at; at += strcspn(at, " "), at += *at == ' ') {
        const size_t n = strcspn(at, "=");
        if (n == name.size && memcmp(at, name.data, n) == 0) return at + n + 1;
    }
    return NULL;
}

int wg__text_choice(const char *list, wg__span text)
{
    for (int i = 0;; i++) {
        const size_t n = strcspn(list, "| ");
        if (n == text.size && (n == 0 || memcmp(list, text.data, n) == 0)) return i;
        if (list[n] != '|') return -1;
        list += n + 1;
    }
}

int wg__attribute_choice(const wg__onnx_node *node, const char *name, int otherwise)
{
    wg__attribute a;
    if (!wg__attribute_find(node, name, &a) || a.type != WG__ATTR_TEXT) return otherwise;
    return wg__text_choice(wg__row_attribute(node->row, a.name) + 2, a.text); /* check.c has found it */
}

/* ---- lists ---- */

/* A list as it is counted. */
typedef struct list {
    int64_t *ints; /* or: */
    double *floats;
    int most, n;
} list;

static void push(list *l, int64_t integer, double number)
{
    if (l->n < l->most && l->ints) l->ints[l->n] = integer;
    if (l->n < l->most && l->floats) l->floats[l->n] = number;
    if (l->n < INT_MAX) l->n++;
}

int wg__attribute_ints(const wg__onnx_node *node, const char *name, int64_t *out, int most)
{
    wg__attribute a;
    list l = {.ints = out, .most = most};
    if (!wg__attribute_find(node, name, &a)) return -1;
    wg__wire wire = wg__wire_of(a.list);
    for (wg__field f; wg__wire_next(&wire, &f);) {
        if (f.number != 8) continue;
        if (f.type == WG__VARINT) push(&l, (int64_t)f.integer, 0);
        if (f.type != WG__LENGTH_AND_BYTES) continue;
        wg__wire packed = wg__wire_of(f.bytes);
        for (uint64_t number; wg__wire_varint(&packed, &number);) push(&l, (int64_t)number, 0);
    }
    return l.n;
}

int wg__attribute_floats(const wg__onnx_node *node, const char *name, double *out, int most)
{
    wg__attribute a;
    list l = {.floats = out, .most = most};
    if (!wg__attribute_find(node, name, &a)) return -1;
    wg__wire wire = wg__wire_of(a.list);
    for (wg__field f; wg__wire_next(&wire, &f);) {
        if (f.number != 7) continue;
        if (f.type == WG__FOUR_BYTES) push(&l, 0, wg__field_float(&f));
        for (size_t i = 0; f.type == WG__LENGTH_AND_BYTES && i + 4 <= f.bytes.size; i += 4) {
            float number;
            memcpy(&number, f.bytes.data + i, 4);
            push(&l, 0, number);
        }
    }
    return l.n;
}
