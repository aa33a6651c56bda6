/* Internal to bench/: a row of a model beside its peers. */
#ifndef BENCH_COMPARE_H
#define BENCH_COMPARE_H

#include "bench.h"

/* The header of the rows. */
void bench_print_models_header(const bench_report *report);
/* Times a model, and the peers that the settings name; prints and adds the row, and returns it. steps: unless the
 * settings say otherwise. */
bench_row bench_time_model(bench_report *report, const char *id, int64_t steps);

#endif
