/* Learning rate schedules: functions of the step. */
#include "optim.h"

#include <math.h>

double wg_schedule_step(double lr, uint64_t step, uint64_t every, double factor)
{
    return every == 0 ? lr : lr * pow(factor, (double)(step / every));
}

double wg_schedule_exponential(double lr, uint64_t step, double factor) { return lr * pow(factor, (double)step); }

double wg_schedule_cosine(double lr, double lr_end, uint64_t step, uint64_t steps)
{
    if (step >= steps) return lr_end;
    return lr_end + (lr - lr_end) * (1 + cos(3.14159265358979323846 * (double)step / (double)steps)) / 2;
}

double wg_schedule_warmup(double lr, uint64_t step, uint64_t warmup)
{
    return step >= warmup ? lr : lr * ((double)step + 1) / (double)warmup;
}
