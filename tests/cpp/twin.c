/* A recurrent network that learns a sum, in C; twin.cpp is the same program in C++. Both print the bits of the
 * losses. */
#include <stdio.h>
#include <wengert.h>

enum { STEPS = 40, TIME = 6, BATCH = 16, HIDDEN = 16 };

int main(void)
{
    wg_params *model = wg_params_new_with(WG_F32, (wg_allocator){0}, 3);
    wg_param *wx = wg_param_new(model, "wx", WG_DIMS(HIDDEN, 1), wg_init_glorot());
    wg_param *wh = wg_param_new(model, "wh", WG_DIMS(HIDDEN, HIDDEN), wg_init_orthogonal(1));
    wg_param *b = wg_param_new(model, "b", WG_DIMS(HIDDEN), wg_init_zeros());
    wg_param *wy = wg_param_new(model, "wy", WG_DIMS(1, HIDDEN), wg_init_glorot());
    wg_optimizer *adam = wg_adam_new(model, wg_adam_defaults());
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    if (wg_optimizer_set_lr(adam, 0.01) != WG_OK) return 1;
    for (int step = 0; step < STEPS; step++) {
        wg_set_step(tape, (uint64_t)step);
        wg_tensor x = wg_uniform(tape, WG_F32, WG_DIMS(TIME, BATCH, 1), -1, 1);
        wg_scope_begin(tape, "rnn");
        wg_tensor h = wg_zeros(tape, WG_F32, WG_DIMS(BATCH, HIDDEN));
        for (int t = 0; t < TIME; t++) {
            wg_tensor seen = wg_linear(wg_select(x, 0, t), wg_use(tape, wx), wg_use(tape, b));
            h = wg_tanh(wg_add(seen, wg_linear(h, wg_use(tape, wh), WG_NONE)));
        }
        wg_scope_end(tape);
        wg_tensor y = wg_linear(h, wg_use(tape, wy), WG_NONE);
        wg_tensor wrong = wg_sub(wg_div_scalar(wg_sum(x, WG_AXES(0), false), 2), y);
        wg_tensor decay = wg_scale(wg_mean_all(wg_mul(wg_use(tape, wh), wg_use(tape, wh))), 0.01);
        wg_tensor loss = wg_add(wg_mean_all(wg_mul(wrong, wrong)), decay);
        wg_tensor share = wg_mean_all(wg_cast(wg_less(wg_neg(wrong), wg_abs(y)), WG_F32));
        wg_tensor odd = wg_rsub_scalar(1, wg_rdiv_scalar(2, wg_sub_scalar(wg_add_scalar(share, 3), 1)));
        wg_zero_grad(model);
        wg_keep(odd);
        if (wg_backward(loss) == WG_OK && wg_optimizer_step(adam) != WG_OK) return 1;
        printf("%a %a\n", wg_item(loss), wg_item(odd));
        if (wg_tape_reset(tape) != WG_OK) return 1;
    }
    wg_matmul(wg_zeros(tape, WG_F32, WG_DIMS(2, 3)), wg_zeros(tape, WG_F32, WG_DIMS(4, 5)));
    const wg_status status = wg_tape_reset(tape);
    printf("%s: %s\n", wg_status_name(status), wg_tape_message(tape));
    wg_tape_free(tape);
    wg_optimizer_free(adam);
    wg_params_free(model);
    return 0;
}
