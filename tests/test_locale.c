/* In a locale whose decimal point is a comma: files are what they are in the locale "C". The locale is Germany's, which
 * localedef makes here; where it cannot, the tests are skipped. */
#include "learner.h"
#include "test_io.h"

#include <locale.h>
#include <unistd.h>

static bool make_german(void)
{
    char command[256];
    snprintf(command, sizeof command, "localedef -i de_DE -f UTF-8 %s/de_DE.UTF-8 2>/dev/null", folder);
    if (system(command) != 0) return false;
    setenv("LOCPATH", folder, 1);
    return setlocale(LC_NUMERIC, "de_DE.UTF-8") && *localeconv()->decimal_point == ','; /* musl has no locales */
}

static void german(void) { setlocale(LC_NUMERIC, "de_DE.UTF-8"); }

static void plain(void) { setlocale(LC_NUMERIC, "C"); }

static void a_csv_file(void)
{
    wg_error error = {0};
    const char rows[] = "x\n1.5\n";
    put_file(in_folder("rows.csv"), rows, sizeof rows - 1);
    wg_csv *csv = wg_csv_open(in_folder("rows.csv"), wg_csv_defaults(), &error);
    const float *x = wg_csv_numbers(csv, "x", &error);
    assert_true(x && x[0] == 1.5f);
    wg_csv_close(csv);
}

static char *page_with_a_curve(void)
{
    wg_error error = {0};
    size_t size;
    wg_report *report = wg_report_new("a page");
    for (int i = 0; i < 3; i++) CHECK(wg_report_line(report, "loss", "training", i, 1.5 / (1 + i)) == WG_OK);
    CHECK(wg_report_write(report, in_folder("page"), &error) == WG_OK);
    wg_report_free(report);
    return get_file(in_folder("page"), &size);
}

static void a_report(void)
{
    char *there = page_with_a_curve();
    setlocale(LC_NUMERIC, "C");
    char *here = page_with_a_curve();
    CHECK(strcmp(there, here) == 0);
    free(there);
    free(here);
}

/* A run that began in one locale is resumed in the other. */
static void a_run(void)
{
    for (int stop = 3; stop < 6; stop++) {
        learner l = learner_new();
        wg_fit_options o = options_of(&l);
        o.path = path, o.resume = true, o.epochs = 0, o.steps = stop;
        const wg_fit_result got = fit(&o);
        CHECK(got.end == WG_FIT_DONE && l.steps == (stop == 3 ? 3 : 1));
        learner_fini(&l);
        setlocale(LC_NUMERIC, stop % 2 ? "C" : "de_DE.UTF-8");
    }
}

/* The caller's locale is what it was. */
static void the_program(void)
{
    char text[8];
    const locale_t own = newlocale(LC_ALL_MASK, "C", (locale_t)0), before = uselocale(own);
    free(page_with_a_curve());
    CHECK(uselocale((locale_t)0) == own);
    uselocale(before);
    freelocale(own);
    free(page_with_a_curve());
    snprintf(text, sizeof text, "%.1f", 1.5);
    assert_string_equal(text, "1,5");
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE_WITH(a_csv_file, german, plain), TEST_CASE_WITH(a_report, german, plain),
                                 TEST_CASE_WITH(a_run, german, plain), TEST_CASE_WITH(the_program, german, plain)};
    make_folder();
    begin_files();
    const bool there = make_german();
    const int failed = there ? RUN_TESTS(tests) : 77;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command) == 0 ? failed : 1;
}
