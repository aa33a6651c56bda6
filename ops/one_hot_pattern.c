/* Recognizes products with one-hot rows, one_hot(i) W, which look up rows of W. Forward it stays a product, but its
 * gradient by W adds the rows of the result's gradient by index, those of all such products of W into one buffer. (5 to
 * 8 % of rnn and gru: docs/performance.md, pass lookup.) */
#include "../autograd/plan/rewrite.h"
#include "internal.h"

#include "kernels/move/move.h"

enum { FEWEST = 16 }; /* classes; with fewer a product costs no more. Chosen, not measured */

static const wg__node *node_of(wg_tensor x) { return &x.tape->nodes[x.node]; }

/* The one_hot node that x is, or is a reshape of with the same classes; nil if it is something else. */
static wg_tensor one_hot_of(wg_tensor x)
{
    const wg_tape *tape = x.tape;
    const wg_shape *shape = wg__shape_of_node(tape, node_of(x));
    while (wg__op_is(tape, node_of(x), &wg__reshape_op)) x.node = node_of(x)->in[0];
    const wg_shape *behind = wg__shape_of_node(tape, node_of(x));
    if (!wg__op_is(tape, node_of(x), &wg__one_hot_op)) return wg__nil_of(x);
    return shape->size[shape->rank - 1] == behind->size[behind->rank - 1] ? x : wg__nil_of(x);
}

static wg_tensor lookup_vjp(const wg_vjp_args *v, int k)
{
    if (k == 0) return wg__matmul_op.vjp(v, k);
    wg_tensor rows = one_hot_of(v->in[0]);
    if (!rows.node) return wg__matmul_op.vjp(v, k);
    wg_tensor index = wg__handle(rows.tape, node_of(rows)->in[0]);
    index = wg_reshape(index, WG_DIMS(wg_size(v->grad, 0)));
    return wg__index_add(index, v->grad, 0, wg_size(v->in[1], 0));
}

const wg_op wg__lookup_op = {.struct_size = sizeof(wg_op),
                             .name = "matmul",
                             .kind = WG_KIND_PRODUCT,
                             .min_in = 2,
                             .max_in = 2,
                             .flags = WG_OP_SMOOTH,
                             .vjp = lookup_vjp};

/* The parameter W if the node is W or W^T, else 0. */
static uint32_t weight_of(const wg_tape *tape, uint32_t id)
{
    const wg__node *node = &tape->nodes[id];
    if (wg__op_is(tape, node, &wg__permute_op)) id = node->in[0], node = &tape->nodes[id];
    return !node->op && node->leaf == WG__LEAF_PARAM ? id : 0;
}

static bool same_view(const wg__node *a, const wg__node *b)
{
    return a->op == b->op && a->attr == b->attr && a->shape == b->shape && a->flags == b->flags;
}

/* All of them read the first view of the weight, so that their gradients are added there. */
bool wg__one_hot_recognise(wg__rewrite *r, uint32_t product)
{
    const wg_tape *tape = r->tape;
    wg__node to = tape->nodes[product];
    wg_tensor rows = one_hot_of(wg__handle(r->tape, to.in[0]));
    const uint32_t weight = weight_of(tape, to.in[1]);
    const wg_shape *left = wg__shape_of_node(tape, &tape->nodes[to.in[0]]),
                   *right = wg__shape_of_node(tape, &tape->nodes[to.in[1]]);
    if (!rows.node || !weight || left->rank != 2 || right->rank != 2 || right->size[0] < FEWEST) return true;
    const uint32_t first = wg__rewrite_first(r, weight, to.in[1]);
    if (!first) return false;
    if (same_view(&tape->nodes[first], &tape->nodes[to.in[1]])) to.in[1] = first;
    return wg__rewrite_node(r, product, &wg__lookup_op, to, NULL, 0);
}
