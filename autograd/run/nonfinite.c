/* The option locate_nonfinite: which instruction made the first NaN or infinity. One without operands does not count:
 * it writes a constant, which a choice may leave out. Nor does one whose result has minus infinity if an operand had
 * one: masks of minus infinity pass through additions, choices, scaling and log-softmax until a softmax or a maximum
 * takes them away. */
#include "run.h"

#include <math.h>

static double number_at(wg_dtype dtype, const void *x, int64_t i)
{
    return dtype == WG_F64 ? ((const double *)x)[i] : (double)((const float *)x)[i];
}

/* Whether an operand with these strides has minus infinity. */
static bool has_minus_infinity(wg_dtype dtype, const void *x, int rank, const int64_t *size, const int64_t *stride)
{
    int64_t at[WG_MAX_RANK] = {0}, offset = 0;
    for (int i = 0; i < rank; i++)
        if (size[i] == 0) return false;
    for (;;) {
        if (number_at(dtype, x, offset) == -INFINITY) return true;
        int axis = rank - 1;
        while (axis >= 0 && (stride[axis] == 0 || at[axis] + 1 == size[axis])) {
            offset -= at[axis] * stride[axis];
            at[axis--] = 0;
        }
        if (axis < 0) return false;
        at[axis]++;
        offset += stride[axis];
    }
}

/* An operand of a chain has no dtype: 4 bytes that are not a number of f32 hardly ever look like minus infinity. */
static bool load_has_minus_infinity(const wg__chain *chain, const wg__chain_operand *load)
{
    const wg_dtype dtype = load->size == 8 ? WG_F64 : WG_F32;
    const int64_t n = load->uniform ? 1 : chain->numel, one = 1;
    if (load->size < 4) return false;
    if (load->uniform || load->flat) return has_minus_infinity(dtype, load->data, 1, &n, &one);
    return has_minus_infinity(dtype, load->data, chain->rank, chain->size, load->stride);
}

bool wg__reads_minus_infinity(const wg__instr *instr)
{
    bool has = false;
    for (int i = 0; instr->kind == WG__INSTR_CHAIN && i < instr->chain->n_loads; i++)
        has |= load_has_minus_infinity(instr->chain, &instr->chain->loads[i]);
    for (int i = 0; instr->kind == WG__INSTR_KERNEL && i < instr->args->n_in; i++) {
        const wg_operand *x = &instr->args->in[i];
        if (x->data && wg_dtype_is_float(x->dtype))
            has |= has_minus_infinity(x->dtype, x->data, x->rank, x->size, x->stride);
    }
    return has;
}

/* The contiguous result of an instruction; false if it has none. */
static bool result_of(const wg__instr *instr, const void **data, wg_dtype *dtype, int64_t *numel)
{
    if (instr->kind == WG__INSTR_KERNEL) {
        *data = instr->args->out.data;
        *dtype = instr->args->out.dtype;
        *numel = instr->args->out.numel;
        return wg_dtype_is_float(*dtype);
    }
    if (instr->kind == WG__INSTR_PRODUCT && instr->product->c_cs == 1 &&
        instr->product->c_rs == instr->product->n) {
        *data = instr->product->c;
        *dtype = instr->product->dtype;
        *numel = instr->product->m * instr->product->n * instr->product->batches;
        return true;
    }
    if (instr->kind == WG__INSTR_CHAIN && instr->chain->n_stores && instr->chain->stores[0].flat &&
        instr->chain->float_result) {
        *data = instr->chain->stores[0].data;
        *dtype = instr->chain->stores[0].size == 8 ? WG_F64 : WG_F32;
        *numel = instr->chain->numel;
        return true;
    }
    return false;
}

/* A copy of a constant is one. */
static bool is_constant(const wg_tape *tape, const wg__instr *instr, uint32_t op)
{
    return (instr->kind == WG__INSTR_CHAIN && instr->chain->n_loads == 0) ||
           (op && tape->interned.ops[op]->max_in == 0);
}

int64_t wg__first_bad(const wg_tape *tape, const wg__plan *plan, uint32_t i, bool minus_infinity)
{
    const wg__instr *instr = &plan->instrs[i];
    const void *x;
    wg_dtype dtype;
    int64_t numel;
    if (is_constant(tape, instr, plan->origins[i].op) || !result_of(instr, &x, &dtype, &numel)) return -1;
    int64_t at = tape->structural->first_nonfinite(dtype, x, numel);
    if (!minus_infinity || at < 0) return at;
    for (; at < numel; at++)
        if (!(number_at(dtype, x, at) < INFINITY)) return at;
    return -1;
}
