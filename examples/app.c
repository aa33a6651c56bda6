/* Shared parts of the examples: messages, memory. */
#include "app.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- messages ---- */

static const char *program = "app";

void app_name(const char *name) { program = name; }
const char *app_program(void) { return program; }

static bool (*may_print)(const char *text);
static bool is_quiet;

void app_may_print(bool (*asked)(const char *text)) { may_print = asked; }
void app_be_quiet(void) { is_quiet = true; }
bool app_is_quiet(void) { return is_quiet; }

/* last: the program ends. */
static void say(bool last, const char *format, va_list arguments)
{
    wg_error line = {0};
    (void)wg_error_setv(&line, WG_ERR_ARGUMENT, format, arguments);
    if (last ? may_print && !may_print(line.text) : is_quiet) return;
    wg_progress_clear();
    fprintf(stderr, "%s: %s\n", program, line.text);
}

void app_note(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(false, format, arguments);
    va_end(arguments);
}

void app_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(true, format, arguments);
    va_end(arguments);
    exit(1);
}

void app_usage(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(true, format, arguments);
    va_end(arguments);
    exit(2);
}

static FILE *copy_to;

void app_copy_bytes(FILE *to) { copy_to = to; }

static void print_to(FILE *out, const char *text)
{
    const size_t size = 4 * strlen(text) + 1; /* an escape takes at most four times its bytes */
    char *shown = app_room((int64_t)size, 1);
    fputs(wg_printable(text, shown, size), out);
    free(shown);
}

void app_print(const char *text)
{
    print_to(stdout, text);
    if (copy_to) print_to(copy_to, text);
}

void app_put_byte(char byte)
{
    static char line[1024];
    static size_t n;
    const bool ends = byte == '\n' || byte == '\t';
    if (copy_to) putc(byte, copy_to);
    if (!isatty(STDOUT_FILENO)) {
        putchar(byte);
        return;
    }
    if (!ends) line[n++] = byte;
    if (!ends && n + 1 < sizeof line) return;
    line[n] = 0;
    print_to(stdout, line);
    n = 0;
    if (ends) putchar(byte);
}

void app_check_output(void)
{
    if (fflush(stdout) != 0 || ferror(stdout)) app_fail("cannot write the results: %s", strerror(errno));
}

void app_check_place(const char *path)
{
    const char *slash = strrchr(path, '/');
    char folder[4096] = ".";
    if (slash && (size_t)(slash - path) + 2 < sizeof folder)
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - path) + 1, path);
    struct stat info;
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode)) app_fail("%s: is not a regular file", path);
    if (access(folder, W_OK | X_OK) != 0) app_fail("cannot write to the folder of %s: %s", path, strerror(errno));
}

void app_sync(FILE *file, const char *path)
{
    const bool written = fflush(file) == 0 && !ferror(file);
    if (!written || (fsync(fileno(file)) != 0 && errno != EINVAL)) /* EINVAL: a pipe or a device */
        app_fail("%s: cannot write: %s", path, strerror(errno));
}

/* ---- small things ---- */

void *app_room(int64_t n, size_t size)
{
    void *memory = n >= 0 ? calloc((size_t)n + 1, size) : NULL;
    if (!memory) app_fail("out of memory");
    return memory;
}

typedef struct limit {
    size_t left;
    bool exceeded;
} limit;

/* Aligned as the library does it, large blocks for large pages. */
static void *limited_alloc(void *context, size_t size)
{
    limit *l = context;
    const size_t page = 2 << 20, align = size < 2 * page ? 64 : page;
    void *memory;
    l->exceeded |= size > l->left;
    if (size > l->left || posix_memalign(&memory, align, size) != 0) return NULL;
    if (align == page) madvise(memory, size & ~(page - 1), MADV_HUGEPAGE); /* advice: errors do not matter */
    l->left -= size;
    return memory;
}

static void limited_release(void *context, void *memory, size_t size)
{
    ((limit *)context)->left += size;
    free(memory);
}

static limit of_file; /* of the one set that comes from a file */

const char *const app_precisions[] = {"f32", "bf16", "int8", NULL};
const char *const app_storages[] = {"f32", "bf16", NULL};

/* The dtype of one of these; NULL: f32. */
static wg_dtype dtype_of(const char *name)
{
    static const wg_dtype others[] = {WG_BF16, WG_INT8};
    for (size_t i = 0; name && i < sizeof others / sizeof *others; i++)
        if (!strcmp(name, wg_dtype_name(others[i]))) return others[i];
    return WG_F32;
}

/* A file has the values of the parameters and the optimizer's state; the set also has gradients, in blocks. */
wg_params *app_params_new(const wg_safetensors *file, const char *storage, int64_t seed)
{
    enum { BLOCKS = 16 << 20, EACH = 4 << 10 };
    const wg_allocator limited = {limited_alloc, limited_release, &of_file};
    of_file = (limit){.left = BLOCKS};
    for (size_t i = 0; file && i < wg_safetensors_count(file); i++) {
        const wg_shape shape = wg_safetensors_at(file, i).shape;
        int64_t numel = 0;
        wg_shape_numel(&shape, &numel);
        of_file.left += EACH + 2 * (size_t)numel * sizeof(float); /* a file in bf16 has half of it */
    }
    wg_params *params = wg_params_new_with(dtype_of(storage), file ? limited : (wg_allocator){0}, (uint64_t)seed);
    if (!params) app_fail("out of memory");
    return params;
}

void app_check_params(const wg_params *params, const char *path)
{
    if (wg_params_status(params) == WG_ERR_MEMORY && wg_params_allocator(params).alloc && of_file.exceeded)
        app_fail("%s: its settings ask for a larger model than it has", path);
    if (wg_params_status(params) != WG_OK) app_fail("%s", wg_params_message(params));
}

void app_save(const char *path, wg_params *params, int64_t step, int64_t seed)
{
    wg_error error = {0};
    const wg_checkpoint checkpoint = {.params = params, .step = (uint64_t)step, .seed = (uint64_t)seed};
    if (wg_checkpoint_save(path, &checkpoint, &error) != WG_OK) app_fail("%s", error.text);
}

wg_tape *app_tape_new(int64_t threads, int64_t seed, const char *precision, wg_pool **pool)
{
    wg_tape_options options = wg_tape_defaults();
    options.pool = *pool = wg_pool_new((int)threads);
    options.seed = (uint64_t)seed;
    options.products = dtype_of(precision);
    if (options.products == WG_BF16 && !wg_bf16_is_fast() && !is_quiet)
        fputs("note: products in bf16 take longer than in f32 on this processor\n", stderr);
    if (!*pool) app_fail("cannot start %lld threads", (long long)threads);
    wg_tape *tape = wg_tape_new(options);
    if (!tape) app_fail("out of memory");
    return tape;
}

void app_end_step(wg_tape *tape)
{
    if (wg_tape_reset(tape) != WG_OK) app_fail("%s", wg_tape_message(tape));
}

wg_loader *app_loader_new(int64_t n, int64_t batch, int64_t seed, const int32_t *lengths)
{
    wg_loader_options options = wg_loader_defaults();
    wg_error error = {0};
    options.batch = batch;
    options.seed = (uint64_t)seed;
    options.lengths = lengths;
    wg_loader *loader = wg_loader_new(n, options, &error);
    if (!loader) app_fail("%s", error.text);
    return loader;
}

int64_t app_draw(uint64_t *random, int64_t n)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((*random >> 33) % (uint64_t)n);
}

double app_draw_real(uint64_t *random, double low, double high)
{
    return low + (high - low) * (double)app_draw(random, 1 << 24) / (1 << 24);
}

uint64_t app_bits(uint64_t *random)
{
    uint64_t x = *random += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

uint64_t app_random(uint64_t seed, uint64_t step, uint64_t item)
{
    uint64_t state = app_bits(&seed) + step;
    state = app_bits(&state) + item;
    return app_bits(&state);
}

/* The order of an epoch with a single batch. */
int64_t *app_shuffled(int64_t n, uint64_t seed)
{
    wg_loader *loader = app_loader_new(n, n, (int64_t)seed, NULL);
    const int64_t *samples;
    int64_t *copy = app_room(n, sizeof *copy);
    wg_loader_batch(loader, 0, &samples);
    memcpy(copy, samples, (size_t)n * sizeof *copy);
    wg_loader_free(loader);
    return copy;
}
