/* Learning rate schedules: functions of the step. */
#include "optim.h"

#include <math.h>

#include "../autograd/base/fp.h"

WG__FP_CALLED static double exponential(double lr, double step, double factor) { return lr * pow(factor, step); }

WG__FP_CALLED static double cosine(double lr, double lr_end, double step, double steps)
{
    return lr_end + (lr - lr_end) * (1 + cos(3.14159265358979323846 * step / steps)) / 2;
}

WG__FP_CALLED static double linear(double lr, double step, double steps) { return lr * step / steps; }

double wg_schedule_step(double lr, uint64_t step, uint64_t every, double factor)
{
    return every == 0 ? lr : wg_schedule_exponential(lr, step / every, factor);
}

double wg_schedule_exponential(double lr, uint64_t step, double factor)
{
    const wg__fp caller = wg__fp_begin();
    const double now = exponential(lr, (double)step, factor);
    wg__fp_end(&caller);
    return now;
}

double wg_schedule_cosine(double lr, double lr_end, uint64_t step, uint64_t steps)
{
    if (step >= steps) return lr_end;
    const wg__fp caller = wg__fp_begin();
    const double now = cosine(lr, lr_end, (double)step, (double)steps);
    wg__fp_end(&caller);
    return now;
}

double wg_schedule_warmup(double lr, uint64_t step, uint64_t warmup)
{
    if (step >= warmup) return lr;
    const wg__fp caller = wg__fp_begin();
    const double now = linear(lr, (double)step + 1, (double)warmup);
    wg__fp_end(&caller);
    return now;
}

/* Two half waves: up to the step `top`, and down from there. */
WG__FP_CALLED static double one_cycle(double lr, double step, double last, double top)
{
    if (step <= top) return cosine(lr / 25, lr, step, top > 0 ? top : 1);
    return cosine(lr, lr / 250000, step - top, last - top);
}

double wg_schedule_one_cycle(double lr, uint64_t step, uint64_t steps, double rise)
{
    if (steps < 2) return lr / 250000;
    const uint64_t last = steps - 1;
    const wg__fp caller = wg__fp_begin();
    const double now = one_cycle(lr, (double)(step < last ? step : last), (double)last, rise * (double)steps - 1);
    wg__fp_end(&caller);
    return now;
}
