/* Internal to bench/: a model's row, with its peers. */
#ifndef BENCH_COMPARE_H
#define BENCH_COMPARE_H

#include "bench.h"

/* Prints the header of the rows. */
void bench_print_models_header(const bench_report *report);
/* Times a model and the peers of the settings; prints, adds and returns the row. steps is the default number of
 * samples, which the settings override. */
bench_row bench_time_model(bench_report *report, const char *id, int64_t steps);

#endif
