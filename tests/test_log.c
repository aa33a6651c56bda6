/* Event files: what was logged is read back by a reader of another make (event_file.h); bad arguments; faults of memory
 * and disk leave whole records; the same calls give the same bytes. */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "event_file.h"
#include "png_file.h"
#include "test_io.h"

/* The clock stands still, so that bytes can be compared. */
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    *now = (struct timespec){.tv_sec = 1700000000 + (clock == CLOCK_MONOTONIC), .tv_nsec = 500000000};
    return 0;
}

/* ---- reading ---- */

enum { TIME = 1, STEP, VERSION, SUMMARY = 5, SESSION = 7 };
enum { TAG = 1, SIMPLE = 2, IMAGE = 4, HISTOGRAM = 5, TENSOR = 8, METADATA = 9 };

typedef struct log_bytes {
    unsigned char *bytes;
    size_t size;
    message file;
} log_bytes;

static log_bytes open_bytes(const char *path)
{
    log_bytes l = {0};
    l.bytes = (unsigned char *)get_file(path, &l.size);
    l.file = (message){l.bytes, l.bytes + l.size};
    return l;
}

/* The value of the next record, whose step and tag must be these. */
static message next_value(log_bytes *l, uint64_t step, const char *tag)
{
    message record, none = {0};
    field f, value, name;
    if (!CHECK(next_record(&l->file, &record) == 1)) return none;
    CHECK(find_field(record, TIME, &f) && f.type == 1 && as_double(f.integer) == 1700000000.5);
    CHECK(find_field(record, STEP, &f) ? f.type == 0 && f.integer == step : step == 0);
    if (!CHECK(find_field(record, SUMMARY, &f) && find_field(f.bytes, 1, &value))) return none;
    const size_t length = strlen(tag);
    CHECK(find_field(value.bytes, TAG, &name) && (size_t)(name.bytes.end - name.bytes.at) == length &&
          !memcmp(name.bytes.at, tag, length));
    return value.bytes;
}

static void expect_version(log_bytes *l)
{
    message record;
    field f = {0};
    if (!CHECK(next_record(&l->file, &record) == 1 && find_field(record, VERSION, &f))) return;
    CHECK(f.bytes.end - f.bytes.at == 13 && !memcmp(f.bytes.at, "brain.Event:2", 13));
}

static void expect_end(log_bytes *l)
{
    message record;
    CHECK(next_record(&l->file, &record) == 0);
    free(l->bytes);
}

static int records_in(const char *path)
{
    log_bytes l = open_bytes(path);
    message record;
    int n = 0, got;
    while ((got = next_record(&l.file, &record)) == 1) n++;
    CHECK(got == 0);
    free(l.bytes);
    return n;
}

static wg_log_file *open_log(char path[512])
{
    wg_error error = {0};
    wg_log_file *log = wg_log_open(folder, &error);
    if (!log) fail_msg("%s", error.text);
    strcpy(path, wg_log_path(log));
    return log;
}

/* ---- values ---- */

static double double_at(message m, unsigned number)
{
    field f;
    return find_field(m, number, &f) && f.type == 1 ? as_double(f.integer) : NAN;
}

static void scalars(void)
{
    static const double numbers[] = {0, 1.5, -2e-30, NAN, INFINITY, -INFINITY, 1e300, 0.1};
    char path[512];
    wg_log_file *log = open_log(path);
    CHECK(!strncmp(path, folder, strlen(folder)));
    ASSERT_HAS(path, "/events.out.tfevents.1700000000.");
    for (int i = 0; i < 8; i++)
        assert_int_equal(wg_log_scalar(log, "loss/träining", (int64_t)1 << (5 * i), numbers[i]), WG_OK);
    assert_int_equal(wg_log_close(log, NULL), WG_OK);
    log_bytes l = open_bytes(path);
    expect_version(&l);
    for (int i = 0; i < 8; i++) {
        field f;
        message value = next_value(&l, (uint64_t)1 << (5 * i), "loss/träining");
        CHECK(find_field(value, SIMPLE, &f) && f.type == 5);
        const float got = as_float(f.integer), wanted = (float)numbers[i];
        CHECK(got == wanted || (isnan(got) && isnan(wanted)));
    }
    expect_end(&l);
    empty_folder();
}

/* Sums by a plain loop; counts in ranges that cover all numbers, each number in its range. */
static void expect_histogram(message value, const double *numbers, int n, int ranges)
{
    field h, limits, counts;
    double low = INFINITY, high = -INFINITY, sum = 0, squares = 0, total = 0, edge = -INFINITY;
    for (int i = 0; i < n; i++) {
        low = fmin(low, numbers[i]), high = fmax(high, numbers[i]);
        sum += numbers[i], squares += numbers[i] * numbers[i];
    }
    if (!CHECK(find_field(value, HISTOGRAM, &h))) return;
    CHECK(double_at(h.bytes, 1) == low && double_at(h.bytes, 2) == high && double_at(h.bytes, 3) == n);
    CHECK(double_at(h.bytes, 4) == sum && double_at(h.bytes, 5) == squares);
    if (!CHECK(find_field(h.bytes, 6, &limits) && find_field(h.bytes, 7, &counts))) return;
    CHECK(limits.bytes.end - limits.bytes.at == 8 * ranges && counts.bytes.end - counts.bytes.at == 8 * ranges);
    for (int r = 0; r < ranges; r++) {
        const double limit = as_double(little(limits.bytes.at + 8 * r, 8)), slack = 1e-9 * (high - low);
        const double count = as_double(little(counts.bytes.at + 8 * r, 8));
        double least = 0, most = 0;
        for (int i = 0; i < n; i++) {
            least += numbers[i] > edge + slack && numbers[i] < limit - slack;
            most += numbers[i] >= edge - slack && numbers[i] <= limit + slack;
        }
        CHECK(limit > edge && count >= least && count <= most);
        edge = limit;
        total += count;
    }
    CHECK(total == n && edge == high);
}

static void histograms(void)
{
    enum { N = 1000 };
    static double many[N];
    float small[] = {1, NAN, -3, INFINITY, 2.5f};
    const double finite[] = {1, -3, 2.5}, huge[] = {-1.7e308, 1.7e308, 0}, equal[] = {2, 2, 2}, bad[] = {NAN};
    char path[512];
    for (int i = 0; i < N; i++) many[i] = sin(i) * sin(i) * sin(i);
    wg_log_file *log = open_log(path);
    CHECK(wg_log_histogram(log, "many", 1, WG_F64, many, N) == WG_OK);
    CHECK(wg_log_histogram(log, "small", 2, WG_F32, small, 5) == WG_OK); /* two records */
    CHECK(wg_log_histogram(log, "huge", 3, WG_F64, huge, 3) == WG_OK);
    CHECK(wg_log_histogram(log, "equal", 4, WG_F64, equal, 3) == WG_OK);
    CHECK(wg_log_histogram(log, "bad", 5, WG_F64, bad, 1) == WG_OK); /* only the count */
    CHECK(wg_log_close(log, NULL) == WG_OK);
    log_bytes l = open_bytes(path);
    field f;
    expect_version(&l);
    expect_histogram(next_value(&l, 1, "many"), many, N, 30);
    expect_histogram(next_value(&l, 2, "small"), finite, 3, 30);
    CHECK(find_field(next_value(&l, 2, "small/nonfinite"), SIMPLE, &f) && as_float(f.integer) == 2);
    expect_histogram(next_value(&l, 3, "huge"), huge, 3, 30);
    expect_histogram(next_value(&l, 4, "equal"), equal, 3, 1);
    CHECK(find_field(next_value(&l, 5, "bad/nonfinite"), SIMPLE, &f) && as_float(f.integer) == 1);
    expect_end(&l);
    empty_folder();
}

static void parameters(void)
{
    char path[512];
    const double values[] = {3, 3, 3, 3}, zeros[] = {0, 0, 0, 0};
    wg_params *set = wg_params_new(WG_F64);
    wg_param_new(set, "w\n", WG_DIMS(2, 2), wg_init_constant(3));
    wg_buffer_new(set, "mean", WG_DIMS(4), wg_init_zeros());
    wg_param_new(set, "empty", WG_DIMS(0), wg_init_zeros());
    wg_log_file *log = open_log(path);
    CHECK(wg_log_params(log, 7, set) == WG_OK && wg_log_close(log, NULL) == WG_OK);
    log_bytes l = open_bytes(path);
    expect_version(&l);
    expect_histogram(next_value(&l, 7, "values/w\\x0a"), values, 4, 1);
    expect_histogram(next_value(&l, 7, "gradients/w\\x0a"), zeros, 4, 1);
    expect_histogram(next_value(&l, 7, "values/mean"), zeros, 4, 1);
    expect_end(&l);
    wg_params_free(set);
    empty_folder();
}

static void texts_and_sessions(void)
{
    char path[512];
    wg_log_file *log = open_log(path);
    CHECK(wg_log_text(log, "sample", 3, "    one\n    zwei ü\x1b") == WG_OK);
    CHECK(wg_log_text(log, "empty", 0, "") == WG_OK);
    CHECK(wg_log_resume(log, 42) == WG_OK && wg_log_close(log, NULL) == WG_OK);
    log_bytes l = open_bytes(path);
    field f, g;
    message record, value;
    expect_version(&l);
    value = next_value(&l, 3, "sample");
    CHECK(find_field(value, METADATA, &f) && find_field(f.bytes, 1, &g) && find_field(g.bytes, 1, &f));
    CHECK(f.bytes.end - f.bytes.at == 4 && !memcmp(f.bytes.at, "text", 4));
    CHECK(find_field(value, TENSOR, &f) && find_field(f.bytes, 1, &g) && g.integer == 7); /* DT_STRING */
    CHECK(find_field(f.bytes, 8, &g) && g.bytes.end - g.bytes.at == 20 &&
          !memcmp(g.bytes.at, "    one\n    zwei ü\x1b", 20));
    CHECK(find_field(f.bytes, 2, &g) && find_field(g.bytes, 2, &f) && find_field(f.bytes, 1, &g) && g.integer == 1);
    CHECK(find_field(next_value(&l, 0, "empty"), TENSOR, &f) && find_field(f.bytes, 8, &g));
    CHECK(next_record(&l.file, &record) == 1 && find_field(record, SESSION, &f) && find_field(f.bytes, 1, &g));
    CHECK(g.integer == 1 && find_field(record, STEP, &f) && f.integer == 42); /* START */
    expect_end(&l);
    empty_folder();
}

/* ---- pictures ---- */

static void pictures(void)
{
    static const struct {
        int height, width, channels;
    } sizes[] = {
        {1, 1, 1}, {28, 28, 1}, {5, 300, 3}, {300, 5, 4}, {400, 500, 4}}; /* the last: many stored blocks */
    static uint8_t pixels[400 * 500 * 4];
    char path[512];
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * 7 + i / 251);
    wg_log_file *log = open_log(path);
    for (int i = 0; i < 5; i++)
        CHECK(wg_log_image(log, "picture", i, pixels, sizes[i].height, sizes[i].width, sizes[i].channels) == WG_OK);
    CHECK(wg_log_close(log, NULL) == WG_OK);
    log_bytes l = open_bytes(path);
    expect_version(&l);
    for (int i = 0; i < 5; i++) {
        field image, f;
        if (!CHECK(find_field(next_value(&l, (uint64_t)i, "picture"), IMAGE, &image))) continue;
        CHECK(find_field(image.bytes, 1, &f) && f.integer == (uint64_t)sizes[i].height);
        CHECK(find_field(image.bytes, 2, &f) && f.integer == (uint64_t)sizes[i].width);
        CHECK(find_field(image.bytes, 3, &f) && f.integer == (uint64_t)sizes[i].channels);
        if (CHECK(find_field(image.bytes, 4, &f)))
            expect_png(f.bytes, pixels, (uint32_t)sizes[i].height, (uint32_t)sizes[i].width, sizes[i].channels);
    }
    expect_end(&l);
    empty_folder();
}

/* ---- bad arguments ---- */

static void refused(void)
{
    char path[512], name[600];
    const double one[] = {1};
    const uint8_t pixel[4] = {0};
    wg_error error = {0};
    wg_log_file *log = open_log(path);
    memset(name, 'n', sizeof name);
    name[501] = 0;
    static const char *const tags[] = {NULL, "", "a\nb", "\x1b", "\x7f", "\xff", "\xed\xa0\x80"};
    for (int i = 0; i < 7; i++) CHECK(wg_log_scalar(log, tags[i], 0, 1) == WG_ERR_ARGUMENT);
    CHECK(wg_log_scalar(log, name, 0, 1) == WG_ERR_ARGUMENT && wg_log_text(log, name, 0, "") == WG_ERR_ARGUMENT);
    CHECK(wg_log_scalar(log, "a", -1, 1) == WG_ERR_ARGUMENT && wg_log_resume(log, -1) == WG_ERR_ARGUMENT);
    CHECK(wg_log_scalar(NULL, "a", 0, 1) == WG_ERR_ARGUMENT && wg_log_params(log, 0, NULL) == WG_ERR_ARGUMENT);
    CHECK(wg_log_histogram(log, "a", 0, WG_F64, one, 0) == WG_ERR_ARGUMENT);
    CHECK(wg_log_histogram(log, "a", 0, WG_F64, NULL, 1) == WG_ERR_ARGUMENT);
    CHECK(wg_log_histogram(log, "a", 0, WG_I32, one, 1) == WG_ERR_DTYPE);
    CHECK(wg_log_image(log, "a", 0, pixel, 1, 1, 2) == WG_ERR_ARGUMENT);
    CHECK(wg_log_image(log, "a", 0, pixel, 0, 1, 1) == WG_ERR_ARGUMENT);
    CHECK(wg_log_image(log, "a", 0, pixel, 16385, 1, 1) == WG_ERR_ARGUMENT);
    CHECK(wg_log_image(log, "a", 0, pixel, 16384, 16384, 4) == WG_ERR_ARGUMENT);
    CHECK(wg_log_image(log, "a", 0, pixel, INT64_MAX, INT64_MAX, 4) == WG_ERR_ARGUMENT);
    CHECK(wg_log_text(log, "a", 0, "\xff") == WG_ERR_ARGUMENT && wg_log_text(log, "a", 0, NULL) == WG_ERR_ARGUMENT);
    name[500] = 0;
    CHECK(wg_log_scalar(log, name, INT64_MAX, 1) == WG_OK); /* the longest */
    CHECK(wg_log_close(log, &error) == WG_ERR_ARGUMENT);    /* the first error */
    CHECK(!strcmp(error.text, "log scalar: tag \"\": must be UTF-8 of 1 to 500 bytes without control characters"));
    CHECK(records_in(path) == 2);
    CHECK(wg_log_close(NULL, NULL) == WG_OK && !wg_log_path(NULL));
    empty_folder();
}

/* Folders: made with their parents; not where a file is, or in /proc; no name; one too long. */
static void folders(void)
{
    char path[600], name[5000];
    wg_error error = {0};
    snprintf(path, sizeof path, "%s/a//b/c/", folder);
    wg_log_file *log = wg_log_open(path, &error);
    if (!CHECK(log)) return;
    snprintf(path, sizeof path, "%s", wg_log_path(log));
    CHECK(wg_log_close(log, NULL) == WG_OK && records_in(path) == 1);
    unlink(path);
    static const char *const made[] = {"a/b/c", "a/b", "a"};
    for (int i = 0; i < 3; i++) CHECK(rmdir(in_folder(made[i])) == 0);
    put_file(in_folder("file"), "x", 1);
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    const char *const bad[] = {in_folder("file"), in_folder("file/a"), "/proc/nothing", "", NULL, name};
    for (int i = 0; i < 6; i++) {
        error = (wg_error){0};
        CHECK(!wg_log_open(bad[i], &error) && error.status == (i < 3 || i == 5 ? WG_ERR_IO : WG_ERR_ARGUMENT));
        CHECK(*error.text && !strchr(error.text, '\n'));
    }
    ASSERT_HAS(error.text, "too long");
    empty_folder();
}

/* ---- faults ---- */

static wg_status log_some(wg_log_file *log, int *written)
{
    static uint8_t pixels[40 * 40];
    wg_status first = WG_OK;
    for (int i = 0; i < 4; i++) {
        const float numbers[] = {1, 2, (float)i};
        const wg_status status = i == 0   ? wg_log_scalar(log, "a", 1, 2)
                                 : i == 1 ? wg_log_histogram(log, "b", 1, WG_F32, numbers, 3)
                                 : i == 2 ? wg_log_image(log, "c", 1, pixels, 40, 40, 1)
                                          : wg_log_text(log, "d", 1, "text");
        *written += status == WG_OK;
        if (first == WG_OK) first = status;
    }
    return first;
}

/* A call fails, or an allocation: its status says so, the records of the others are whole, and the first error is what
 * wg_log_close returns. */
static void one_fault(long call, long allocation, bool short_calls, int *failed)
{
    wg_error error = {0}, last = {0};
    char path[512];
    int written = 0;
    fault_begin(call, allocation, false);
    fault.short_calls = short_calls;
    wg_log_file *log = wg_log_open(folder, &error);
    if (!log) {
        fault_end();
        CHECK(error.status != WG_OK && *error.text);
        ++*failed;
        CHECK(count_files() == 0);
        return;
    }
    strcpy(path, wg_log_path(log));
    const wg_status first = log_some(log, &written), status = wg_log_close(log, &last);
    fault_end();
    CHECK(first == WG_OK || status == first);
    CHECK((status == WG_OK) == (*last.text == 0) && (written == 4) == (first == WG_OK));
    CHECK(status == WG_OK || status == (allocation ? WG_ERR_MEMORY : WG_ERR_IO));
    *failed += status != WG_OK;
    CHECK(records_in(path) == 1 + written);
    empty_folder();
}

static void faults(void)
{
    int failed = 0, n = 0;
    for (int short_calls = 0; short_calls < 2; short_calls++)
        for (long k = 1; k < (short_calls ? 400 : 12); k++) one_fault(k, 0, short_calls, &failed), n++;
    CHECK(failed > 20 && failed < n);
    failed = 0;
    for (long k = 1; k < 20; k++) one_fault(0, k, false, &failed);
    CHECK(failed > 4 && failed < 19);
}

/* A full disk, by a limit of the file's size: later records are written once there is room again. */
static void disk_full(void)
{
    char path[512];
    struct rlimit before, small;
    wg_log_file *log = open_log(path);
    getrlimit(RLIMIT_FSIZE, &before);
    small = before;
    small.rlim_cur = 1000;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    int good = 0;
    for (int i = 0; i < 100; i++) good += wg_log_scalar(log, "a", i, i) == WG_OK;
    CHECK(good > 10 && good < 30 && records_in(path) == 1 + good);
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, handler);
    CHECK(wg_log_scalar(log, "a", 100, 1) == WG_OK && records_in(path) == 2 + good);
    wg_error error = {0};
    CHECK(wg_log_close(log, &error) == WG_ERR_IO);
    ASSERT_HAS(error.text, "cannot write: File too large");
    empty_folder();
}

/* A killed program leaves whole records, at least those whose calls had returned. */
static void killed(void)
{
    char path[512];
    int ends[2];
    long told = 0, got;
    CHECK(pipe(ends) == 0);
    const pid_t child = fork();
    if (child == 0) {
        wg_log_file *log = open_log(path);
        for (long i = 1; i < 1000000; i++)
            if (wg_log_scalar(log, "a", i, 1) != WG_OK || write(ends[1], &i, sizeof i) != sizeof i) _exit(1);
        _exit(0);
    }
    for (int i = 0; i < 2000 && read(ends[0], &got, sizeof got) == sizeof got; i++) told = got;
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(ends[1]);
    while (read(ends[0], &got, sizeof got) == sizeof got) told = got;
    close(ends[0]);
    char host[65] = "";
    gethostname(host, 64);
    snprintf(path, sizeof path, "%s/events.out.tfevents.1700000000.%s.%d.0", folder, host, (int)child);
    const int n = records_in(path);
    CHECK(told >= 2000 && (n == told + 1 || n == told + 2));
    empty_folder();
}

/* Twice the same calls: two files, the same bytes. */
static void same_bytes(void)
{
    char path[2][512];
    size_t size[2];
    int written = 0;
    for (int i = 0; i < 2; i++) {
        wg_log_file *log = open_log(path[i]);
        CHECK(log_some(log, &written) == WG_OK && wg_log_close(log, NULL) == WG_OK);
    }
    CHECK(strcmp(path[0], path[1]) < 0 && count_files() == 2); /* sorted as they were made */
    char *a = get_file(path[0], &size[0]), *b = get_file(path[1], &size[1]);
    CHECK(size[0] == size[1] && !memcmp(a, b, size[0]));
    free(a);
    free(b);
    empty_folder();
}

/* No allocation once the buffers have their sizes. */
static void steady(void)
{
    char path[512];
    int written = 0;
    wg_log_file *log = open_log(path);
    for (int i = 0; i < 3; i++) wg_log_scalar(log, "a", i, 1);
    fault_begin(0, 0, false);
    for (int i = 0; i < 100; i++) written += wg_log_scalar(log, "a", i, 1) == WG_OK;
    CHECK(written == 100 && fault.allocations == 0 && fault.calls == 100); /* one write each */
    fault_end();
    CHECK(wg_log_close(log, NULL) == WG_OK);
    empty_folder();
}

int main(int argc, char **argv)
{
    static const test tests[] = {
        TEST_CASE(scalars),   TEST_CASE(histograms), TEST_CASE(parameters), TEST_CASE(texts_and_sessions),
        TEST_CASE(pictures),  TEST_CASE(refused),    TEST_CASE(folders),    TEST_CASE(faults),
        TEST_CASE(disk_full), TEST_CASE(killed),     TEST_CASE(same_bytes), TEST_CASE(steady)};
    make_folder();
    const int failed = RUN_TESTS(tests);
    remove_folder();
    return failed;
}
