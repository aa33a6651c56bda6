#include <stdio.h>
#include <wengert.h>

int main(void)
{
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    wg_tensor x = wg_zeros(tape, WG_F32, WG_DIMS(2, 3));
    wg_tensor w = wg_zeros(tape, WG_F32, WG_DIMS(4, 5));
    wg_tensor y = wg_tanh(wg_matmul(x, w));
    printf("%g\n", wg_item(wg_sum_all(y)));
    if (wg_tape_reset(tape) != WG_OK) printf("%s\n", wg_tape_message(tape));
    wg_tape_free(tape);
}
