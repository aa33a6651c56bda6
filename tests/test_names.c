/* A hundred thousand names: what looks one up or walks over all takes time that grows with their number, not with its
 * square. Each stage is timed for a tenth of the names first, so that the bound holds on a slow machine, too. */
#include "tensors.h"

#include <time.h>
#include <unistd.h>

enum { MANY = 100000, FEW = MANY / 10, STAGES = 10 };

static double seconds(void) { return (double)clock() / CLOCKS_PER_SEC; }

static double started, of_few[STAGES];
static int stage;

/* Ends a stage with n names, FEW before MANY. Ten times as many take 10 to 20 times as long, in a quadratic one 100. */
static void stage_end(int n, const char *what)
{
    const double taken = seconds() - started;
    if (n == FEW)
        of_few[stage] = taken;
    else if (taken > 1 + 40 * of_few[stage])
        FAIL("%s: %.1f s for %d, %.2f s for %d", what, taken, MANY, of_few[stage], FEW);
    stage++;
    started = seconds();
}

static void stages_begin(void)
{
    stage = 0;
    started = seconds();
}

static const char *name_of(const char *format, int i)
{
    static char name[64];
    snprintf(name, sizeof name, format, i);
    return name;
}

static void load(int n)
{
    char path[] = "/tmp/names-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0 && close(fd) == 0);
    wg_error error = {0};
    wg_params *set[2] = {wg_params_new(WG_F32), wg_params_new(WG_F32)};
    stages_begin();
    wg_param *first = NULL;
    for (int i = 0; i < n; i++) {
        wg_param *p = wg_param_new(set[0], name_of("encoder.layers.%d.weight", i), WG_DIMS(1), wg_init_zeros());
        if (i % 10 == 0) wg_param_tie(set[0], name_of("decoder.layers.%d.weight", i), p);
        if (i % 20 == 0) wg_param_tie(set[0], name_of("one.%d", i), first = first ? first : p);
        wg_param_new(set[1], name_of("other.layers.%d.weight", i), WG_DIMS(1), wg_init_zeros());
    }
    CHECK(wg_params_status(set[0]) == WG_OK && wg_params_count(set[0]) == (size_t)(n + n / 10 + n / 20));
    CHECK(wg_param_new(set[0], "encoder.layers.7.weight", WG_SCALAR, wg_init_zeros()) == NULL);
    wg_params_clear_error(set[0]);
    for (int i = 0; i < n; i++) {
        const wg_param *p = wg_param_find(set[0], name_of("encoder.layers.%d.weight", i));
        CHECK(p && wg_params_at(set[0], wg_param_index(p)) == p &&
              !strcmp(wg_param_name(p), name_of("encoder.layers.%d.weight", i)));
        if (i % 10 == 0) CHECK(wg_param_find(set[0], name_of("decoder.layers.%d.weight", i)) == p);
        CHECK(!wg_param_find(set[0], name_of("encoder.layers.%d.bias", i)));
    }
    stage_end(n, "creating and finding");
    wg_checkpoint c = {.params = set[0], .optimizer = wg_adam_new(set[0], wg_adam_defaults())};
    CHECK(wg_checkpoint_save(path, &c, &error) == WG_OK);
    stage_end(n, "saving");
    wg_safetensors *file = wg_safetensors_open(path, &error);
    CHECK(wg_checkpoint_load(file, &c, NULL, NULL, &error) == WG_OK);
    stage_end(n, "loading");
    wg_optimizer_free(c.optimizer);
    c = (wg_checkpoint){.params = set[1], .optimizer = wg_adam_new(set[1], wg_adam_defaults())};
    CHECK(wg_checkpoint_load(file, &c, wg_tolerate_all, NULL, &error) == WG_OK); /* nothing has the same name */
    stage_end(n, "loading other names");
    size_t size = wg_summary(set[0], NULL, 0);
    char *text = malloc(size + 1);
    CHECK(wg_summary(set[0], text, size + 1) == size);
    free(text);
    wg_average *average = wg_average_new(set[0], 0.9);
    CHECK(average && wg_average_update(average) == WG_OK);
    stage_end(n, "summary and averages");
    wg_average_free(average);
    wg_safetensors_close(file);
    wg_optimizer_free(c.optimizer);
    wg_params_free(set[0]);
    wg_params_free(set[1]);
    unlink(path);
}

static void enter_scopes(int n)
{
    char last[64];
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    stages_begin();
    for (int round = 0; round < 2; round++) {
        wg_tensor x = wg_scalar(tape, WG_F32, 1);
        for (int i = 0; i < n; i++) {
            wg_scope_begin(tape, name_of("layer%d", i));
            wg_neg(x);
            wg_scope_end(tape);
        }
        stage_end(n, "entering scopes");
        char *text = dumped(wg_dump_graphviz, tape);
        snprintf(last, sizeof last, "cluster_%d { label=\"layer%d\"", n, n - 1);
        CHECK(strstr(text, last) && strstr(text, "data 1\\n%1 f32 []"));
        free(text);
        free(dumped(wg_dump_text, tape));
        CHECK(wg_tape_reset(tape) == WG_OK);
        stage_end(n, "dumps");
    }
    wg_tape_free(tape);
}

/* n / 2 columns, which are asked for by name: a table has 65,536 at most. */
static void ask_for_columns(int n)
{
    char path[] = "/tmp/names-XXXXXX", list[24 * MANY / 2];
    size_t at = 0;
    wg_error error = {0};
    for (int i = 0; i < n / 2; i++) at += (size_t)sprintf(list + at, "%scolumn %d", i ? "," : "", i);
    FILE *file = fdopen(mkstemp(path), "w");
    fprintf(file, "%s\n", list);
    for (int i = 0; i < n / 2; i++) fprintf(file, "%s%d", i ? "," : "", i);
    CHECK(fclose(file) == 0);
    stages_begin();
    wg_csv *csv = wg_csv_open(path, wg_csv_defaults(), &error);
    const float *numbers = wg_csv_numbers(csv, list, &error);
    CHECK(numbers && numbers[n / 2 - 1] == (float)(n / 2 - 1) && wg_csv_find(csv, "column 17") == 17);
    stage_end(n, "columns by name");
    wg_csv_close(csv);
    unlink(path);
}

static void report_scopes(int n)
{
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    CHECK(wg_trace_runs(tape, 4 * n) == WG_OK);
    wg_tensor x = wg_scalar(tape, WG_F32, 1);
    for (int i = 0; i < n; i++) {
        wg_scope_begin(tape, name_of("layer%d", i));
        x = wg_cumsum(wg_reshape(wg_sin(x), WG_DIMS(1)), 0);
        x = wg_reshape(x, WG_SCALAR);
        wg_scope_end(tape);
    }
    CHECK(wg_eval(&x, 1) == WG_OK);
    wg_report *report = wg_report_new("many scopes");
    stages_begin();
    CHECK(wg_report_run(report, tape, NULL) == WG_OK);
    stage_end(n, "a report");
    wg_report_free(report);
    wg_tape_free(tape);
}

static void tables(void)
{
    ask_for_columns(FEW);
    ask_for_columns(MANY);
    report_scopes(FEW);
    report_scopes(MANY);
}

static void case_load_quadratic(void)
{
    load(FEW);
    load(MANY);
}

static void scopes(void)
{
    enter_scopes(FEW);
    enter_scopes(MANY);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(case_load_quadratic), TEST_CASE(scopes), TEST_CASE(tables)};
    return RUN_TESTS(tests);
}
