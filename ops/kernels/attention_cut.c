/* How attention is cut into tasks, and what scratch a task needs: by shapes and strides alone. */
#include "attention.h"

static wg__matrix sides_of(const wg_operand *x)
{
    return (wg__matrix){NULL, x->stride[x->rank - 2], x->stride[x->rank - 1]};
}

/* The largest scratch of the products of a block of `rows` queries that see `keys` keys. */
typedef struct need {
    wg_dtype dtype;
    size_t bytes;
} need;

static void add(need *most, int64_t m, int64_t n, int64_t k, wg__matrix a, wg__matrix b)
{
    wg__segment segment;
    wg__product p = wg__product_of(most->dtype, m, n, k, (wg__matrix){NULL, n, 1}, a, b, true, &segment);
    size_t bytes = m && n ? wg__structural_ops.product(p.dtype)->scratch(&p) : 0;
    if (bytes > most->bytes) most->bytes = bytes;
}

static size_t score_bytes(const wg__attention *p, wg_dtype dtype)
{
    return (size_t)(p->rows * p->stride) * wg_dtype_size(dtype);
}

int64_t wg__attention_tasks(const wg_args *args)
{
    wg__attention p = wg__attention_sizes(args);
    return p.leading * p.blocks;
}

/* A block may see fewer keys, and the last one has fewer rows. No product needs more scratch for being smaller in all
 * its sizes, but which operand it packs may change with them: so each is asked for all, for one key and for one row. */
static void add_smaller(need *most, int64_t m, int64_t n, int64_t k, wg__matrix a, wg__matrix b)
{
    const int64_t sizes[3][2] = {{m, 1}, {n, 1}, {k, 1}};
    for (int which = 0; which < 8; which++)
        add(most, sizes[0][which & 1], sizes[1][which >> 1 & 1], sizes[2][which >> 2 & 1], a, b);
}

size_t wg__attention_scratch(const wg_args *args)
{
    wg__attention p = wg__attention_sizes(args);
    wg__matrix q = sides_of(&args->in[0]), k = sides_of(&args->in[1]), v = sides_of(&args->in[2]);
    wg__matrix w = {NULL, p.stride, 1};
    need most = {.dtype = args->out.dtype};
    add_smaller(&most, p.rows, p.keys, p.size, q, wg__transposed(k));
    add_smaller(&most, p.rows, p.values, p.keys, w, v);
    return score_bytes(&p, most.dtype) + most.bytes;
}

int64_t wg__attention_grad_tasks(const wg_args *args) { return wg__attention_sizes(args).leading; }

size_t wg__attention_grad_scratch(const wg_args *args)
{
    wg__attention p = wg__attention_sizes(args);
    wg__matrix q = sides_of(&args->in[0]), k = sides_of(&args->in[1]), v = sides_of(&args->in[2]);
    wg__matrix g = sides_of(&args->in[3]), w = {NULL, p.stride, 1};
    need most = {.dtype = args->out.dtype};
    add_smaller(&most, p.rows, p.keys, p.size, q, wg__transposed(k));
    add_smaller(&most, p.rows, p.keys, p.values, g, wg__transposed(v));
    add_smaller(&most, p.rows, p.size, p.keys, w, k);
    add_smaller(&most, p.keys, p.size, p.rows, wg__transposed(w), q);
    add_smaller(&most, p.keys, p.values, p.rows, wg__transposed(w), g);
    return 2 * score_bytes(&p, most.dtype) + most.bytes;
}
