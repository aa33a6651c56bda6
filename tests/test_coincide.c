/* Operands that coincide: one tensor twice, views of it, equal numbers, one that depends on another. A rule must count
 * each operand for itself, to third order. Cotangents depend on the operands, too. */
#include "samples.h"

typedef struct program {
    const op_samples *row;
    int i;
    bool third; /* the loss is a function of the gradient: its second derivative is of third order */
    sampler s;
} program;

static wg_tensor program_loss(void *context, wg_tape *tape, wg_params *set)
{
    program *p = context;
    p->s.tape = tape;
    p->s.set = set;
    const wg_tensor out = sample_make(&p->s, p->row, p->i), x = p->s.input[0];
    const double share = 1 / fmax(1, (double)wg_numel(x));
    const wg_tensor loss =
        wg_mul(sample_loss(&p->s, out), wg_add_scalar(wg_scale(wg_sum_all(wg_square(x)), share), 1));
    if (!p->third) return loss;
    return wg_sum_all(wg_square(wg_grad1(loss, x, WG_NONE)));
}

/* Records the sample once; true if operands coincide and there is a derivative to check. */
static bool coincides(program *p, wg_tape *tape, wg_params *set)
{
    p->s.tape = tape;
    p->s.set = set;
    p->s.spoil_at = -1;
    const wg_tensor out = sample_make(&p->s, p->row, p->i);
    const bool result = wg_dtype_is_float(wg_dtype_get(out)) && p->s.n_shared > 0;
    if (wg_is_nil(out)) sample_failed(p->row, p->i, "not recorded: %s", wg_tape_message(tape));
    return wg_tape_reset(tape) == WG_OK && result;
}

static void check_gradients(wg_tape *tape, const op_samples *row, int i, sharing how, bool third)
{
    wg_params *set = wg_params_new(WG_F64);
    program p = {.row = row, .i = i, .third = third, .s.sharing = how};
    if (coincides(&p, tape, set)) {
        wg_gradcheck_options options = wg_gradcheck_defaults();
        options.second_order = true;
        options.epsilon = 1e-5;
        options.directions = 2;
        options.elements = 4;
        wg_verdict verdict = wg_gradcheck(tape, set, program_loss, &p, options);
        if (!verdict.ok) sample_failed(row, i, "sharing %d, order %d: %s", how, third ? 3 : 2, verdict.text);
    }
    wg_params_free(set);
}

static void coinciding_operands(void)
{
    const op_samples *row;
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    FOR_EACH_SAMPLE(row, i)
    {
        if (!(row->flags & SAMPLE_SMOOTH) || !check_is_turn(at_ + i)) continue; /* equal operands are kinks */
        for (sharing how = SHARE_SAME; how < SHARE_COUNT; how++) {
            check_gradients(tape, row, i, how, false);
            if (i < 6) check_gradients(tape, row, i, how, true);
        }
    }
    wg_tape_free(tape);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(coinciding_operands)};
    return RUN_TESTS(tests);
}
