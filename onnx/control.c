/* If, Loop and Scan, and calls of functions. Which branch, and how many turns, is known while recording; a loop is
 * unrolled. */
#include <math.h>

#include "internal.h"

enum { MOST_TURNS = 1 << 16 };

static bool has_graph(const wg__onnx_node *node, const char *name)
{
    wg__attribute a;
    return wg__attribute_find(node, name, &a) && a.type == WG__ATTR_GRAPH;
}

static const char *refuse_if(const wg__onnx_node *node)
{
    return has_graph(node, "then_branch") && has_graph(node, "else_branch") ? NULL : "a branch is missing";
}

static const char *refuse_loop(const wg__onnx_node *node)
{
    return has_graph(node, "body") ? NULL : "it has no body";
}

/* Records a graph whose results are those of the node. */
static void record_body(wg__call *c, const wg__graph *body)
{
    if (!wg__record_graph(c, body)) return;
    for (int k = 0; k < c->n_out; k++) wg__set_item(c, k, &c->items[body->out[k]]);
}

static void record_if(wg__call *c)
{
    const bool condition = wg__known_scalar(c, 0, 0) != 0;
    if (wg__call_failed(c)) return;
    const wg__graph *branch = c->node->body[condition ? 0 : 1];
    if (branch->n_in != 0 || branch->n_out < c->n_out) {
        wg__call_fail(c, WG_ERR_FORMAT, "its branch has %d inputs and %d results, not none and %d at least",
                      branch->n_in, branch->n_out, c->n_out);
        return;
    }
    record_body(c, branch);
}

static void record_call(wg__call *c) { record_body(c, c->node->body[0]); }

const wg__onnx_row wg__onnx_call = {"function", record_call};

/* ---- what turns have in common ---- */

/* A result that has a slice of each turn. */
typedef struct slices {
    wg_tensor *list;
    int64_t n, room;
    int type;
} slices;

static void out_of_memory(wg__call *c) { wg__call_fail(c, WG_ERR_MEMORY, "out of memory"); }

static void push(wg__call *c, slices *s, wg__known_item *item)
{
    if (s->n == s->room) {
        const int64_t room = s->room ? 2 * s->room : 16;
        wg_tensor *list = wg__arena_array(c->arena, (uint64_t)room, sizeof *list);
        if (!list) {
            out_of_memory(c);
            return;
        }
        for (int64_t i = 0; i < s->n; i++) list[i] = s->list[i];
        s->list = list;
        s->room = room;
    }
    if (!item->tensor.tape && item->host) item->tensor = wg__data_of(c, item->shape, item->host, item->type);
    s->list[s->n++] = item->tensor;
    s->type = item->type;
}

/* The slices along a new axis. Of no turns the sizes of a slice are not known. */
static void set_slices(wg__call *c, int k, const slices *s, int64_t axis)
{
    if (!wg__wants(c, k)) return;
    if (s->n == 0) {
        wg__call_fail(c, WG_ERR_SHAPE, "result %d of no turns has no sizes", k);
        return;
    }
    const int at = wg__call_axis(c, axis, wg_rank(s->list[0]) + 1);
    if (!wg__call_failed(c)) wg__set(c, k, wg_stack(s->list, (int)s->n, at), s->type);
}

/* Values that one turn hands to the next, and slices. */
typedef struct state {
    wg__known_item *carried;
    slices *scan;
    int n, n_scan;
} state;

static bool state_new(wg__call *c, int first, int n, int n_scan, state *s)
{
    *s = (state){.n = n, .n_scan = n_scan};
    s->carried = wg__arena_array(c->arena, (uint64_t)n + 1, sizeof *s->carried);
    s->scan = wg__arena_array(c->arena, (uint64_t)n_scan + 1, sizeof *s->scan);
    if (!s->carried || !s->scan) return out_of_memory(c), false;
    for (int k = 0; k < n; k++) s->carried[k] = *wg__in(c, first + k);
    return true;
}

/* Records the body once, with carried values as inputs from `first` on; its results begin at `result`. */
static bool turn(wg__call *c, state *s, int first, int result)
{
    const wg__graph *body = c->node->body[0];
    if (!wg__take_step(c)) return false; /* a body may have no nodes */
    for (int k = 0; k < s->n; k++) c->items[body->in[first + k]] = s->carried[k];
    if (!wg__record_graph(c, body)) return false;
    for (int k = 0; k < s->n; k++) s->carried[k] = c->items[body->out[result + k]];
    for (int k = 0; k < s->n_scan; k++) push(c, &s->scan[k], &c->items[body->out[result + s->n + k]]);
    return !wg__call_failed(c);
}

/* A number as input of the body. */
static bool give(wg__call *c, uint32_t value, double number, int type)
{
    const wg_shape scalar = WG_SCALAR;
    double *numbers = wg__numbers_new(c, &scalar);
    if (!numbers) return false;
    numbers[0] = number;
    c->items[value] = (wg__known_item){.type = type, .shape = scalar, .host = numbers};
    return true;
}

/* ---- Loop: operands M, condition, carried; body (turn, condition, carried) -> (condition, carried, slices) ---- */

/* Whether the body's condition says to go on. */
static bool goes_on(wg__call *c)
{
    const wg__known_item *condition = &c->items[c->node->body[0]->out[0]];
    int64_t numel;
    if (condition->host && wg_shape_numel(&condition->shape, &numel) && numel == 1) return condition->host[0] != 0;
    wg__call_fail(c, WG_ERR_ARGUMENT, "its condition is computed when the program runs");
    return false;
}

static void record_loop(wg__call *c)
{
    const wg__graph *body = c->node->body[0];
    const int n = c->n_in > 2 ? c->n_in - 2 : 0, n_scan = c->n_out - n;
    const double most = wg__known_scalar(c, 0, INFINITY);
    bool more = wg__known_scalar(c, 1, 1) != 0;
    state s;
    if (wg__call_failed(c)) return;
    if (n_scan < 0 || body->n_in != n + 2 || body->n_out != 1 + n + n_scan) {
        wg__call_fail(c, WG_ERR_FORMAT,
                      "its body has %d inputs and %d results, the Loop %d operands and %d results", body->n_in,
                      body->n_out, c->n_in, c->n_out);
        return;
    }
    if (!state_new(c, 2, n, n_scan, &s)) return;
    for (int64_t i = 0; more && (double)i < most; i++) {
        if (i == MOST_TURNS) wg__call_fail(c, WG_ERR_ARGUMENT, "more than %d turns", MOST_TURNS);
        if (wg__call_failed(c) || !give(c, body->in[0], (double)i, WG__INT64) ||
            !give(c, body->in[1], 1, WG__BOOLEAN) || !turn(c, &s, 2, 1))
            return;
        more = goes_on(c);
    }
    for (int k = 0; k < n; k++) wg__set_item(c, k, &s.carried[k]);
    for (int k = 0; k < n_scan; k++) set_slices(c, n + k, &s.scan[k], 0);
}

/* ---- Scan: operands: carried values, then tensors of which each turn reads a slice ---- */

/* A list of axes or directions, one for each of n tensors; zeros if the node has none. NULL with an error. */
static const int64_t *list_of(wg__call *c, const char *name, int n)
{
    int64_t *list = wg__arena_array(c->arena, (uint64_t)n + 1, sizeof *list);
    if (!list) return out_of_memory(c), NULL;
    const int given = wg__attribute_ints(c->node, name, list, n);
    if (given < 0 || given == n) return list;
    wg__call_fail(c, WG_ERR_FORMAT, "%s has %d numbers for %d tensors", name, given, n);
    return NULL;
}

/* What a Scan says of its tensors. */
typedef struct scan {
    const int64_t *axis, *backward;         /* of operands */
    const int64_t *out_axis, *out_backward; /* of results */
} scan;

static bool scan_of(wg__call *c, int n_in, int n_out, scan *s)
{
    *s = (scan){.axis = list_of(c, "scan_input_axes", n_in),
                .backward = list_of(c, "scan_input_directions", n_in),
                .out_axis = list_of(c, "scan_output_axes", n_out),
                .out_backward = list_of(c, "scan_output_directions", n_out)};
    return s->axis && s->backward && s->out_axis && s->out_backward;
}

/* Slice i of operand n + k, as input of the body. */
static bool give_slice(wg__call *c, const scan *lists, int n, int k, int64_t i, int64_t count)
{
    const wg_tensor x = wg__tensor(c, n + k);
    const int axis = wg__call_axis(c, lists->axis[k], wg_rank(x));
    if (!wg__call_failed(c) && wg_size(x, axis) != count)
        wg__call_fail(c, WG_ERR_SHAPE, "operand %d has %lld slices, not %lld", n + k, (long long)wg_size(x, axis),
                      (long long)count);
    if (wg__call_failed(c)) return false;
    const int64_t at = lists->backward[k] ? count - 1 - i : i;
    c->items[c->node->body[0]->in[n + k]] =
        (wg__known_item){.type = wg__type_of(c, n + k), .tensor = wg_select(x, axis, at)};
    return true;
}

static void record_scan(wg__call *c)
{
    const wg__graph *body = c->node->body[0];
    const int64_t m = wg__attribute_int(c->node, "num_scan_inputs", 0);
    state s;
    scan lists;
    if (m < 1 || m > c->n_in || body->n_in != c->n_in || body->n_out != c->n_out || c->n_out < c->n_in - m) {
        wg__call_fail(c, WG_ERR_FORMAT,
                      "its body has %d inputs and %d results, the Scan %d operands and %d results", body->n_in,
                      body->n_out, c->n_in, c->n_out);
        return;
    }
    const int n = c->n_in - (int)m, n_scan = c->n_out - n;
    if (!scan_of(c, (int)m, n_scan, &lists)) return;
    const wg_tensor first = wg__tensor(c, n);
    const int axis = wg__call_axis(c, lists.axis[0], wg_rank(first));
    if (wg__call_failed(c) || !state_new(c, 0, n, n_scan, &s)) return;
    const int64_t count = wg_size(first, axis);
    if (count > MOST_TURNS) wg__call_fail(c, WG_ERR_ARGUMENT, "more than %d turns", MOST_TURNS);
    for (int64_t i = 0; i < count && !wg__call_failed(c); i++) {
        for (int k = 0; k < m; k++)
            if (!give_slice(c, &lists, n, k, i, count)) return;
        if (!turn(c, &s, 0, 0)) return;
    }
    for (int k = 0; k < n; k++) wg__set_item(c, k, &s.carried[k]);
    for (int k = 0; k < n_scan; k++) {
        slices *last = &s.scan[k];
        for (int64_t i = 0; lists.out_backward[k] && i < last->n / 2; i++) {
            const wg_tensor other = last->list[i];
            last->list[i] = last->list[last->n - 1 - i];
            last->list[last->n - 1 - i] = other;
        }
        set_slices(c, n + k, last, lists.out_axis[k]);
    }
}

const wg__onnx_row wg__onnx_control[] = {
    {"If", record_if, 6, 1, 1, "then_branch=g else_branch=g", 1, .refuse = refuse_if},
    {"Loop", record_loop, 6, 0, -1, "body=g", 1 | 2, WG__LOOPS | WG__CONDITION, .refuse = refuse_loop},
    {"Scan", record_scan, 9, 1, -1,
     "body=g num_scan_inputs=i scan_input_axes=I scan_input_directions=I scan_output_axes=I "
     "scan_output_directions=I",
     0, WG__LOOPS, .refuse = refuse_loop},
    {NULL},
};
