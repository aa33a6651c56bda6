#include <stdio.h>
#include <wengert.h>

int main(void)
{
    const float hours[] = {1, 2, 3, 4, 5, 6}, points[] = {5.1F, 6.9F, 9.2F, 10.8F, 13.1F, 14.9F};
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    wg_params *model = wg_params_new(WG_F32);
    wg_param *slope = wg_param_new(model, "slope", WG_SCALAR, wg_init_zeros());
    wg_param *start = wg_param_new(model, "start", WG_SCALAR, wg_init_zeros());
    wg_sgd_options options = wg_sgd_defaults();
    options.lr = 0.02;
    wg_optimizer *sgd = wg_sgd_new(model, options);
    for (int step = 0; step <= 400; step++) {
        wg_tensor x = wg_data(tape, WG_F32, WG_DIMS(6), hours);
        wg_tensor y = wg_data(tape, WG_F32, WG_DIMS(6), points);
        wg_tensor line = wg_add(wg_mul(wg_use(tape, slope), x), wg_use(tape, start));
        wg_tensor loss = wg_mse(line, y, WG_MEAN);
        wg_zero_grad(model);
        if (wg_backward(loss) == WG_OK) wg_optimizer_step(sgd);
        if (step % 100 == 0) printf("step %3d  loss %7.3f\n", step, wg_item(loss));
        if (wg_tape_reset(tape) != WG_OK) fprintf(stderr, "%s\n", wg_tape_message(tape));
    }
    printf("points = %.2f hours + %.2f\n", *(const float *)wg_param_value(slope),
           *(const float *)wg_param_value(start));
    wg_optimizer_free(sgd);
    wg_params_free(model);
    wg_tape_free(tape);
}
