#include <stdio.h>
#include <wengert.h>

int main(void)
{
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    wg_tensor x = wg_scalar(tape, WG_F64, 2);
    wg_tensor y = wg_mul(x, wg_sin(x));
    wg_tensor dy = wg_grad1(y, x, WG_NONE);
    printf("y     = %.6f\n", wg_item(y));
    printf("dy/dx = %.6f\n", wg_item(dy));
    wg_tape_free(tape);
}
