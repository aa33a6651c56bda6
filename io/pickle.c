/* The stack machine of a pickle: see pickle.h. Opcodes: Python's pickletools. */
#include "pickle.h"

#include "tensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- errors ---- */

static bool fail(wg__pickle *p, const char *reason)
{
    wg_error_set(&p->error, WG_ERR_FORMAT, WG__AT "data.pkl, byte %zu: %s", p->path, p->at, reason);
    return false;
}

static bool no_memory(wg__pickle *p)
{
    wg_error_set(&p->error, WG_ERR_MEMORY, WG__AT "out of memory", p->path);
    return false;
}

/* ---- names ---- */

/* What a pickle may name. Storages have the type of their elements. */
static const struct {
    const char *name, *type;
} names[] = {{"collections OrderedDict", NULL},
             {"torch._utils _rebuild_tensor_v2", NULL},
             {"torch._utils _rebuild_parameter", NULL},
             {"torch FloatStorage", "F32"},
             {"torch DoubleStorage", "F64"},
             {"torch HalfStorage", "F16"},
             {"torch BFloat16Storage", "BF16"},
             {"torch LongStorage", "I64"},
             {"torch IntStorage", "I32"},
             {"torch ShortStorage", "I16"},
             {"torch CharStorage", "I8"},
             {"torch ByteStorage", "U8"},
             {"torch BoolStorage", "BOOL"}};
enum { ORDERED_DICT, REBUILD_TENSOR, REBUILD_PARAMETER, NAMES = sizeof names / sizeof *names };

/* ---- the stack ---- */

static size_t depth(const wg__pickle *p) { return p->stack.size / sizeof(wg__pvalue); }
static wg__pvalue *top(const wg__pickle *p, size_t i) { return (wg__pvalue *)p->stack.data + (depth(p) - 1 - i); }

static bool put(wg__pickle *p, wg__bytes *array, const void *item, size_t size)
{
    wg__bytes_put(array, item, size);
    return !array->failed || no_memory(p);
}

static bool push_value(wg__pickle *p, wg__pvalue value)
{
    if (depth(p) == WG__PICKLE_DEPTH) return fail(p, "more than 65536 values on the stack");
    return put(p, &p->stack, &value, sizeof value);
}

static bool push(wg__pickle *p, wg__pickled kind, uint32_t n, int64_t at)
{
    return push_value(p, (wg__pvalue){kind, n, at});
}

static bool need(wg__pickle *p, size_t n)
{
    if (depth(p) < n) return fail(p, "the stack is empty");
    for (size_t i = 0; i < n; i++)
        if (top(p, i)->kind == WG__P_MARK) return fail(p, "a mark in the place of a value");
    return true;
}

static void drop(wg__pickle *p, size_t n) { p->stack.size -= n * sizeof(wg__pvalue); }

/* The number of values above the last mark. */
static bool above_mark(wg__pickle *p, size_t *n)
{
    for (*n = 0; *n < depth(p); ++*n)
        if (top(p, *n)->kind == WG__P_MARK) return true;
    return fail(p, "no mark on the stack");
}

/* Takes n bytes of the pickle. */
static const unsigned char *take(wg__pickle *p, size_t n)
{
    if (n > p->size - p->at) return fail(p, "the pickle is truncated"), NULL;
    p->at += n;
    return (const unsigned char *)p->text + p->at - n;
}

/* A little-endian number of n bytes, the argument of an opcode. */
static bool argument(wg__pickle *p, size_t n, uint64_t *number)
{
    const unsigned char *bytes = take(p, n);
    *number = 0;
    for (size_t i = 0; bytes && i < n; i++) *number |= (uint64_t)bytes[i] << 8 * i;
    return bytes != NULL;
}

/* ---- values ---- */

static bool op_other(wg__pickle *p, int n) { return take(p, (size_t)n) && push(p, WG__P_OTHER, 0, 0); }
static bool op_mark(wg__pickle *p, int n) { return push(p, WG__P_MARK, 0, 0); }

static bool op_proto(wg__pickle *p, int n)
{
    uint64_t version;
    return argument(p, 1, &version) &&
           (version == 2 || fail(p, "a protocol other than 2, which torch.save writes"));
}

/* An integer of n bytes; those of 4 are signed. */
static bool op_int(wg__pickle *p, int n)
{
    uint64_t number;
    return argument(p, (size_t)n, &number) &&
           push(p, WG__P_INT, 0, n == 4 ? (int32_t)(uint32_t)number : (int64_t)number);
}

/* A signed integer of any length; of more than 8 bytes, it is not one of ours. */
static bool op_long1(wg__pickle *p, int n)
{
    uint64_t size, number;
    if (!argument(p, 1, &size)) return false;
    if (size == 0 || size > 8) return take(p, size) && push(p, size ? WG__P_OTHER : WG__P_INT, 0, 0);
    if (!argument(p, size, &number)) return false;
    const int unused = (int)(64 - 8 * size);
    return push(p, WG__P_INT, 0, (int64_t)(number << unused) >> unused);
}

static bool op_text(wg__pickle *p, int n)
{
    uint64_t size;
    if (!argument(p, 4, &size)) return false;
    const size_t at = p->at;
    if (!take(p, size)) return false;
    if (wg__utf8_error(p->text + at, size) < size || memchr(p->text + at, 0, size))
        return fail(p, "a string that is not UTF-8, or has a NUL");
    return push(p, WG__P_TEXT, (uint32_t)size, (int64_t)at);
}

/* The end of a line that begins here; NULL. */
static const char *line_end(const wg__pickle *p, size_t at)
{
    return at < p->size ? memchr(p->text + at, '\n', p->size - at) : NULL;
}

static bool op_global(wg__pickle *p, int n)
{
    const char *module = p->text + p->at, *middle = line_end(p, p->at);
    const char *end = middle ? line_end(p, (size_t)(middle + 1 - p->text)) : NULL;
    if (!end) return fail(p, "the pickle is truncated");
    char name[128];
    snprintf(name, sizeof name, "%.*s %.*s", (int)((middle - module) & 0xffff), module,
             (int)((end - middle - 1) & 0xffff), middle + 1);
    for (int i = 0; i < NAMES; i++)
        if (strcmp(name, names[i].name) == 0) {
            p->at = (size_t)(end + 1 - p->text);
            return push(p, WG__P_GLOBAL, 0, i);
        }
    wg_error_set(&p->error, WG_ERR_FORMAT,
                 WG__AT "the pickle names \"%.90s\", which is none of a state dict of tensors: torch.save one",
                 p->path, name);
    return false;
}

/* ---- memory of the machine ---- */

/* Keeps the value on top under a number of n bytes. torch.save counts them from 0. */
static bool op_put(wg__pickle *p, int n)
{
    uint64_t number;
    const size_t count = p->memo.size / sizeof(wg__pvalue);
    if (!argument(p, (size_t)n, &number) || !need(p, 1)) return false;
    if (number > count) return fail(p, "memo numbers are out of order");
    const wg__pvalue value = *top(p, 0);
    if (number == count) return put(p, &p->memo, &value, sizeof value);
    ((wg__pvalue *)p->memo.data)[number] = value;
    return true;
}

static bool op_get(wg__pickle *p, int n)
{
    uint64_t number;
    if (!argument(p, (size_t)n, &number)) return false;
    if (number >= p->memo.size / sizeof(wg__pvalue)) return fail(p, "a memo number that was not put");
    const wg__pvalue value = ((const wg__pvalue *)p->memo.data)[number];
    return push_value(p, value);
}

/* ---- tuples, dicts and lists ---- */

/* The n values on top become a tuple. */
static bool make_tuple(wg__pickle *p, size_t n)
{
    const int64_t at = (int64_t)(p->cells.size / sizeof(wg__pvalue));
    if (n > 0 && !put(p, &p->cells, top(p, n - 1), n * sizeof(wg__pvalue))) return false;
    drop(p, n);
    return push(p, WG__P_TUPLE, (uint32_t)n, at);
}

static bool op_tuple_n(wg__pickle *p, int n) { return need(p, (size_t)n) && make_tuple(p, (size_t)n); }

static bool op_tuple(wg__pickle *p, int n)
{
    size_t count;
    if (!above_mark(p, &count) || !make_tuple(p, count)) return false;
    *top(p, 1) = *top(p, 0); /* in the place of the mark */
    drop(p, 1);
    return true;
}

static bool make_box(wg__pickle *p, bool is_list)
{
    const int64_t at = (int64_t)(p->boxes.size / sizeof(wg__pbox));
    return put(p, &p->boxes, &(wg__pbox){.is_list = is_list}, sizeof(wg__pbox)) && push(p, WG__P_DICT, 0, at);
}

static bool op_dict(wg__pickle *p, int n) { return make_box(p, false); }
static bool op_list(wg__pickle *p, int n) { return make_box(p, true); }

/* Adds an item to a box, if it may hold tensors. */
static bool add_item(wg__pickle *p, int64_t at, wg__pvalue key, wg__pvalue value)
{
    wg__pbox *box = (wg__pbox *)p->boxes.data + at;
    box->count++;
    if (value.kind != WG__P_TENSOR && value.kind != WG__P_DICT && value.kind != WG__P_TUPLE) return true;
    if (!put(p, &p->items, &(wg__pitem){.key = key, .value = value}, sizeof(wg__pitem))) return false;
    const uint32_t id = (uint32_t)(p->items.size / sizeof(wg__pitem));
    if (box->last)
        ((wg__pitem *)p->items.data)[box->last - 1].next = id;
    else
        box->first = id;
    box->last = id;
    return true;
}

/* Adds the n values on top: pairs to a dict, which is under them and `below` more values, or single ones to a list. */
static bool add_items(wg__pickle *p, size_t n, size_t below, bool to_list)
{
    if (depth(p) < n + below + 1 || top(p, n + below)->kind != WG__P_DICT) return fail(p, "items without a dict");
    const int64_t at = top(p, n + below)->at;
    if (wg__pickle_box(p, at)->is_list != to_list || (!to_list && n % 2 != 0))
        return fail(p, "items of a dict for a list, or of a list for a dict");
    for (size_t i = n; i > 0; i -= to_list ? 1 : 2) {
        const wg__pvalue index = {WG__P_INT, 0, wg__pickle_box(p, at)->count};
        if (!add_item(p, at, to_list ? index : *top(p, i - 1), *top(p, to_list ? i - 1 : i - 2))) return false;
    }
    drop(p, n + below);
    return true;
}

static bool op_set_item(wg__pickle *p, int n) { return need(p, 2) && add_items(p, 2, 0, false); }
static bool op_append(wg__pickle *p, int n) { return need(p, 1) && add_items(p, 1, 0, true); }

static bool op_set_items(wg__pickle *p, int n)
{
    size_t count;
    return above_mark(p, &count) && add_items(p, count, 1, false);
}

static bool op_appends(wg__pickle *p, int n)
{
    size_t count;
    return above_mark(p, &count) && add_items(p, count, 1, true);
}

/* The state of an ordered dict is the _metadata of a state dict: versions of modules, which are not needed. */
static bool op_build(wg__pickle *p, int n)
{
    if (!need(p, 2)) return false;
    if (top(p, 0)->kind != WG__P_DICT || top(p, 1)->kind != WG__P_DICT) return fail(p, "a state of no dict");
    drop(p, 1);
    return true;
}

/* ---- tensors ---- */

static bool is_text(const wg__pickle *p, const wg__pvalue *value, const char *text)
{
    return value->kind == WG__P_TEXT && value->n == strlen(text) &&
           memcmp(p->text + value->at, text, value->n) == 0;
}

static bool op_persid(wg__pickle *p, int n)
{
    if (!need(p, 1)) return false;
    const wg__pvalue id = *top(p, 0);
    const wg__pvalue *cell = id.kind == WG__P_TUPLE && (id.n == 5 || id.n == 6) ? wg__pickle_cell(p, id.at) : NULL;
    if (!cell || !is_text(p, &cell[0], "storage") || cell[1].kind != WG__P_GLOBAL || !names[cell[1].at].type ||
        cell[2].kind != WG__P_TEXT || cell[4].kind != WG__P_INT || cell[4].at < 0)
        return fail(p, "a persistent id that is not ('storage', class, key, device, size)");
    const int64_t at = (int64_t)(p->storages.size / sizeof(wg__pstorage));
    const wg__pstorage storage = {
        .key = cell[2], .numel = cell[4].at, .type = wg__type_find(names[cell[1].at].type)};
    drop(p, 1);
    return put(p, &p->storages, &storage, sizeof storage) && push(p, WG__P_STORAGE, 0, at);
}

static bool is_sizes(const wg__pickle *p, const wg__pvalue *tuple)
{
    if (tuple->kind != WG__P_TUPLE || tuple->n > WG_MAX_RANK) return false;
    for (uint32_t i = 0; i < tuple->n; i++) {
        const wg__pvalue *size = wg__pickle_cell(p, tuple->at + i);
        if (size->kind != WG__P_INT || size->at < 0) return false;
    }
    return true;
}

/* The seventh argument, if there is one, is a dict of what changes the elements: neg and conj, of views that are not
 * computed yet, as x.conj().imag. */
static bool is_lazy(const wg__pvalue *a, uint32_t n) { return n > 6 && a[6].kind == WG__P_DICT; }

static bool rebuild_tensor(wg__pickle *p, const wg__pvalue *arguments)
{
    const wg__pvalue *a = arguments->n >= 4 ? wg__pickle_cell(p, arguments->at) : NULL;
    if (!a || a[0].kind != WG__P_STORAGE || a[1].kind != WG__P_INT || a[1].at < 0 || !is_sizes(p, &a[2]) ||
        !is_sizes(p, &a[3]) || a[2].n != a[3].n)
        return fail(p, "a tensor that is not (storage, offset, sizes, strides) of up to 8 axes");
    if (is_lazy(a, arguments->n)) return fail(p, "a tensor whose elements are to be negated: save .resolve_neg()");
    const int64_t at = (int64_t)(p->tensors.size / sizeof(wg__ptensor));
    const wg__ptensor tensor = {
        .storage = a[0].at, .offset = a[1].at, .size = a[2].at, .strides = a[3].at, .rank = (int)a[2].n};
    drop(p, 2);
    return put(p, &p->tensors, &tensor, sizeof tensor) && push(p, WG__P_TENSOR, 0, at);
}

/* What a call of one of the names would make. */
static bool op_reduce(wg__pickle *p, int n)
{
    if (!need(p, 2)) return false;
    const wg__pvalue arguments = *top(p, 0), callee = *top(p, 1);
    if (arguments.kind != WG__P_TUPLE || callee.kind != WG__P_GLOBAL) return fail(p, "a call of no name");
    if (callee.at == REBUILD_TENSOR) return rebuild_tensor(p, &arguments);
    if (callee.at == REBUILD_PARAMETER && arguments.n > 0) { /* (tensor, requires_grad, hooks) */
        const wg__pvalue tensor = *wg__pickle_cell(p, arguments.at);
        if (tensor.kind != WG__P_TENSOR) return fail(p, "a parameter that is no tensor");
        drop(p, 2);
        return push_value(p, tensor);
    }
    if (callee.at != ORDERED_DICT || arguments.n != 0)
        return fail(p, "a call with other arguments than torch.save's");
    drop(p, 2);
    return make_box(p, false);
}

static bool op_stop(wg__pickle *p, int n)
{
    p->stopped = true;
    return need(p, 1) && (depth(p) == 1 || fail(p, "more than one value at the end"));
}

/* ---- opcodes ---- */

typedef struct opcode {
    unsigned char code;
    const char *name;
    bool (*run)(wg__pickle *p, int n); /* NULL: refused */
    int n;                             /* its argument */
} opcode;

/* All of protocols 0 to 5. */
static const opcode opcodes[] = {
    {0x80, "PROTO", op_proto, 0},
    {'.', "STOP", op_stop, 0},
    {'(', "MARK", op_mark, 0},
    {'N', "NONE", op_other, 0},
    {0x88, "NEWTRUE", op_other, 0},
    {0x89, "NEWFALSE", op_other, 0},
    {'G', "BINFLOAT", op_other, 8},
    {'K', "BININT1", op_int, 1},
    {'M', "BININT2", op_int, 2},
    {'J', "BININT", op_int, 4},
    {0x8a, "LONG1", op_long1, 0},
    {'X', "BINUNICODE", op_text, 0},
    {'c', "GLOBAL", op_global, 0},
    {'q', "BINPUT", op_put, 1},
    {'r', "LONG_BINPUT", op_put, 4},
    {'h', "BINGET", op_get, 1},
    {'j', "LONG_BINGET", op_get, 4},
    {')', "EMPTY_TUPLE", op_tuple_n, 0},
    {0x85, "TUPLE1", op_tuple_n, 1},
    {0x86, "TUPLE2", op_tuple_n, 2},
    {0x87, "TUPLE3", op_tuple_n, 3},
    {'t', "TUPLE", op_tuple, 0},
    {'}', "EMPTY_DICT", op_dict, 0},
    {'s', "SETITEM", op_set_item, 0},
    {'u', "SETITEMS", op_set_items, 0},
    {']', "EMPTY_LIST", op_list, 0},
    {'a', "APPEND", op_append, 0},
    {'e', "APPENDS", op_appends, 0},
    {'b', "BUILD", op_build, 0},
    {'Q', "BINPERSID", op_persid, 0},
    {'R', "REDUCE", op_reduce, 0},
    {'i', "INST", NULL, 0},
    {'o', "OBJ", NULL, 0},
    {0x81, "NEWOBJ", NULL, 0},
    {0x92, "NEWOBJ_EX", NULL, 0},
    {0x93, "STACK_GLOBAL", NULL, 0},
    {0x82, "EXT1", NULL, 0},
    {0x83, "EXT2", NULL, 0},
    {0x84, "EXT4", NULL, 0},
    {'0', "POP", NULL, 0},
    {'1', "POP_MARK", NULL, 0},
    {'2', "DUP", NULL, 0},
    {'F', "FLOAT", NULL, 0},
    {'I', "INT", NULL, 0},
    {'L', "LONG", NULL, 0},
    {0x8b, "LONG4", NULL, 0},
    {'P', "PERSID", NULL, 0},
    {'S', "STRING", NULL, 0},
    {'T', "BINSTRING", NULL, 0},
    {'U', "SHORT_BINSTRING", NULL, 0},
    {'V', "UNICODE", NULL, 0},
    {0x8c, "SHORT_BINUNICODE", NULL, 0},
    {0x8d, "BINUNICODE8", NULL, 0},
    {'B', "BINBYTES", NULL, 0},
    {'C', "SHORT_BINBYTES", NULL, 0},
    {0x8e, "BINBYTES8", NULL, 0},
    {0x96, "BYTEARRAY8", NULL, 0},
    {'d', "DICT", NULL, 0},
    {'l', "LIST", NULL, 0},
    {'g', "GET", NULL, 0},
    {'p', "PUT", NULL, 0},
    {0x94, "MEMOIZE", NULL, 0},
    {0x8f, "EMPTY_SET", NULL, 0},
    {0x90, "ADDITEMS", NULL, 0},
    {0x91, "FROZENSET", NULL, 0},
    {0x95, "FRAME", NULL, 0},
    {0x97, "NEXT_BUFFER", NULL, 0},
    {0x98, "READONLY_BUFFER", NULL, 0},
};

static bool refuse(wg__pickle *p, unsigned code, const char *name)
{
    wg_error_set(&p->error, WG_ERR_FORMAT,
                 WG__AT "the pickle has the opcode %s (0x%02x), which no state dict of torch.save has", p->path,
                 name, code);
    return false;
}

static bool step(wg__pickle *p)
{
    const unsigned char *code = take(p, 1);
    for (size_t i = 0; code && i < sizeof opcodes / sizeof *opcodes; i++)
        if (opcodes[i].code == *code)
            return opcodes[i].run ? opcodes[i].run(p, opcodes[i].n) : refuse(p, *code, opcodes[i].name);
    return code && refuse(p, *code, "of no name");
}

wg_status wg__pickle_run(wg__pickle *p, wg__pvalue *root, wg_error *error)
{
    if (p->size < 2 || (unsigned char)p->text[0] != 0x80) fail(p, "not a pickle of protocol 2");
    while (p->error.status == WG_OK && !p->stopped && step(p)) continue;
    if (p->error.status != WG_OK) return wg_error_set(error, p->error.status, "%s", p->error.text);
    *root = *top(p, 0);
    return WG_OK;
}

void wg__pickle_fini(wg__pickle *p)
{
    wg__bytes *arrays[] = {&p->stack, &p->memo, &p->cells, &p->boxes, &p->items, &p->storages, &p->tensors};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) wg__bytes_fini(arrays[i]);
}
