/* Reading and writing while a random system call or allocation fails, once or from then on, with whole or short
 * transfers: an error and nothing has changed, or success; then again without a fault, with the same result; no file
 * descriptor stays open. */
#include "random.h"
#include "test_io.h"

#include <dirent.h>
#ifdef WG_HAVE_ZLIB
#include <zlib.h>
#endif

/* ---- what is read and written ---- */

enum { ROWS = 40, BYTES = 3000 };

static unsigned char bytes[BYTES], idx_bytes[12 + 30 * 50];

typedef struct model {
    wg_params *set;
    wg_param *weight;
    wg_checkpoint checkpoint;
} model;

static model model_new(float number)
{
    model m = {.set = wg_params_new(WG_F32)};
    m.weight = wg_param_new(m.set, "w", WG_DIMS(ROWS, 7), wg_init_constant(number));
    wg_buffer_new(m.set, "state", WG_DIMS(3), wg_init_constant(number));
    m.checkpoint = (wg_checkpoint){
        .params = m.set, .optimizer = wg_adam_new(m.set, wg_adam_defaults()), .step = (uint64_t)number};
    assert_int_equal(wg_params_status(m.set), WG_OK);
    return m;
}

static void model_free(model *m)
{
    wg_optimizer_free(m->checkpoint.optimizer);
    wg_params_free(m->set);
}

static bool model_is(const model *m, float number)
{
    const float *w = wg_param_value(m->weight), *state = wg_param_value(wg_param_find(m->set, "state"));
    for (int i = 0; i < ROWS * 7; i++)
        if (w[i] != number) return false;
    return state[2] == number && m->checkpoint.step == (uint64_t)number;
}

static wg_status load(model *m, wg_error *error)
{
    wg_safetensors *file = wg_safetensors_open(in_folder("model"), error);
    if (!file) return error->status;
    const wg_status status = wg_checkpoint_load(file, &m->checkpoint, NULL, NULL, error);
    wg_safetensors_close(file);
    return status;
}

/* ---- calls: each returns its status, and fails the test if the result is wrong for it ---- */

static wg_status do_save(wg_error *error)
{
    const fault_state wanted = fault;
    fault_end();
    model new = model_new(2), there = model_new(0);
    fault = wanted;
    const wg_status status = wg_checkpoint_save(in_folder("model"), &new.checkpoint, error);
    fault_end();
    CHECK(load(&there, &(wg_error){0}) == WG_OK);
    CHECK(model_is(&there, 2) || (status != WG_OK && model_is(&there, 1)));
    model_free(&new);
    model_free(&there);
    return status;
}

static wg_status do_load(wg_error *error)
{
    const fault_state wanted = fault;
    fault_end();
    model m = model_new(5);
    fault = wanted;
    const wg_status status = load(&m, error);
    fault_end();
    CHECK(model_is(&m, status == WG_OK ? 1 : 5));
    model_free(&m);
    return status;
}

static wg_status text_of(const char *name, bool map, wg_error *error)
{
    wg_text text;
    const wg_status status =
        map ? wg_text_map(in_folder(name), &text, error) : wg_text_read(in_folder(name), &text, error);
    fault_end();
    CHECK(status == WG_OK ? text.size == BYTES && memcmp(text.bytes, bytes, BYTES) == 0 : !text.bytes);
    wg_text_fini(&text);
    return status;
}

static wg_status do_text(wg_error *error) { return text_of("text", false, error); }
static wg_status do_map(wg_error *error) { return text_of("text", true, error); }

static wg_status idx_of(const char *name, wg_error *error)
{
    wg_idx idx;
    const wg_status status = wg_idx_read(in_folder(name), &idx, error);
    fault_end();
    CHECK(status == WG_OK ? idx.shape.rank == 2 && memcmp(idx.data, idx_bytes + 12, 30 * 50) == 0 : !idx.data);
    wg_idx_fini(&idx);
    return status;
}

static wg_status do_idx(wg_error *error) { return idx_of("idx", error); }

static wg_status do_idx_as(wg_error *error)
{
    wg_idx idx;
    const wg_status status = wg_idx_read_as(in_folder("idx"), WG_F32, 2, &idx, error);
    fault_end();
    CHECK(status == WG_OK ? ((const float *)idx.data)[7] == 2 * idx_bytes[12 + 7] : !idx.data);
    wg_idx_fini(&idx);
    return status;
}

static wg_status do_csv(wg_error *error)
{
    wg_csv *csv = wg_csv_open(in_folder("csv"), wg_csv_defaults(), error);
    const float *x = wg_csv_numbers(csv, "x", error);
    const wg_categories *y = x ? wg_csv_categories(csv, "y", NULL, error) : NULL;
    fault_end();
    CHECK(y ? x[1] == 2.5f && y->n == 2 && y->index[1] == 0 : error->status != WG_OK);
    wg_csv_close(csv);
    return y ? WG_OK : error->status;
}

/* Whether the archive of one tensor holds this number, 50 times. */
static bool npz_is(float number)
{
    wg_entry e;
    wg_safetensors *file = wg_safetensors_open(in_folder("npz"), NULL);
    bool is = wg_safetensors_find(file, "w", &e) && e.bytes == 50 * sizeof number;
    for (int i = 0; is && i < 50; i++) is = memcmp((const char *)e.data + 4 * i, &number, sizeof number) == 0;
    wg_safetensors_close(file);
    return is;
}

static wg_status put_npz(float number, wg_error *error)
{
    float numbers[50];
    for (int i = 0; i < 50; i++) numbers[i] = number;
    const wg_entry w = {.name = "w", .shape = WG_DIMS(50), .data = numbers};
    return wg_npz_write(in_folder("npz"), &w, 1, error);
}

static wg_status do_put_npz(wg_error *error)
{
    const wg_status status = put_npz(2, error);
    fault_end();
    CHECK(npz_is(2) || (status != WG_OK && npz_is(1)));
    return status;
}

/* Opens a file of tests/tensors that has this tensor, of a first element of 0 and a second one. */
static wg_status open_tensors(const char *path, const char *name, float second, wg_error *error)
{
    wg_entry e;
    wg_safetensors *file = wg_safetensors_open(path, error);
    fault_end();
    CHECK(file ? wg_safetensors_find(file, name, &e) && memcmp((const char *)e.data + 4, &second, 4) == 0
               : error->status != WG_OK);
    wg_safetensors_close(file);
    return file ? WG_OK : error->status;
}

static wg_status do_pt(wg_error *error) { return open_tensors(TENSORS "/strided.pt", "transposed", 0.5f, error); }
static wg_status do_npz(wg_error *error) { return open_tensors(TENSORS "/arrays.npz", "fortran", 0.125f, error); }
#ifdef WG_HAVE_ZLIB
static wg_status do_npz_gz(wg_error *error) { return open_tensors(TENSORS "/deflated.npz", "c", 0.125f, error); }
#endif

#ifdef WG_HAVE_PNG
static wg_status do_png(wg_error *error)
{
    wg_picture p;
    const wg_status status = wg_picture_read(MEDIA "/palette.png", wg_picture_defaults(), &p, error);
    fault_end();
    CHECK(status == WG_OK ? p.channels == 3 && p.height == 5 && p.pixels[1] == 51 : !p.pixels);
    wg_picture_fini(&p);
    return status;
}
#endif
#ifdef WG_HAVE_SNDFILE
static wg_status do_wav(wg_error *error)
{
    wg_sound s;
    const wg_status status = wg_sound_read(MEDIA "/s24.wav", 0, &s, error);
    fault_end();
    CHECK(status == WG_OK ? s.frames == 20 && s.samples[0] == -1 : !s.samples);
    wg_sound_fini(&s);
    return status;
}
#endif

#ifdef WG_HAVE_ZLIB
static wg_status do_text_gz(wg_error *error) { return text_of("text.gz", below(2), error); }
static wg_status do_idx_gz(wg_error *error) { return idx_of("idx.gz", error); }

static void put_gz(const char *name, const void *content, size_t size)
{
    gzFile file = gzopen(in_folder(name), "wb");
    assert_int_equal(gzwrite(file, content, (unsigned)size), (int)size);
    assert_int_equal(gzclose(file), Z_OK);
}
#endif

static wg_status (*const calls[])(wg_error *error) = {do_save,    do_put_npz, do_load,  do_text, do_map,
                                                      do_idx,     do_idx_as,  do_csv,   do_pt,   do_npz,
#ifdef WG_HAVE_PNG
                                                      do_png,
#endif
#ifdef WG_HAVE_SNDFILE
                                                      do_wav,
#endif
#ifdef WG_HAVE_ZLIB
                                                      do_text_gz, do_idx_gz,  do_npz_gz
#endif
};

/* ---- faults ---- */

static int open_files(void)
{
    int n = 0;
    DIR *all = opendir("/proc/self/fd");
    while (all && readdir(all)) n++;
    if (all) closedir(all);
    return n;
}

static void put_files(void)
{
    model old = model_new(1);
    empty_folder();
    assert_int_equal(wg_checkpoint_save(in_folder("model"), &old.checkpoint, NULL), WG_OK);
    model_free(&old);
    for (int i = 0; i < BYTES; i++) bytes[i] = (unsigned char)('a' + i * 7 % 26);
    for (int i = 0; i < 30 * 50; i++) idx_bytes[12 + i] = (unsigned char)(i * 11);
    memcpy(idx_bytes, (unsigned char[]){0, 0, 8, 2, 0, 0, 0, 30, 0, 0, 0, 50}, 12);
    assert_int_equal(put_npz(1, NULL), WG_OK);
    put_file(in_folder("text"), bytes, BYTES);
    put_file(in_folder("idx"), idx_bytes, sizeof idx_bytes);
    put_file(in_folder("csv"), "x,y\n1,b\n2.5,a\n", 14);
#ifdef WG_HAVE_ZLIB
    put_gz("text.gz", bytes, BYTES);
    put_gz("idx.gz", idx_bytes, sizeof idx_bytes);
#endif
}

static long n_calls, n_errors;

static void one_fault(uint64_t seed)
{
    wg_error error = {0};
    random_state = seed * 0x9e3779b97f4a7c15u;
    const int which = (int)below(sizeof calls / sizeof *calls);
    const bool allocation = below(2);
    const int files = open_files();
    put_files();
    fault_begin(0, 0, false);
    fault.short_calls = below(2);
    const fault_state wanted = {.for_good = below(2),
                                .short_calls = fault.short_calls,
                                .fail_call = allocation ? 0 : 1 + below(which < 2 && fault.short_calls ? 400 : 30),
                                .fail_allocation = allocation ? 1 + below(30) : 0};
    fault = wanted;
    const wg_status status = calls[which](&error);
    fault_end();
    n_calls++;
    n_errors += status != WG_OK;
    CHECK(status == WG_OK || status == WG_ERR_MEMORY || (!allocation && status == WG_ERR_IO));
    CHECK((status == WG_OK) == (*error.text == 0));
    CHECK(open_files() == files);
    error = (wg_error){0};
    CHECK(calls[which](&error) == WG_OK);
    if (check_failures()) printf("call %d, %s\n", which, error.text);
}

static void faults(void)
{
    n_calls = n_errors = 0;
    make_folder();
    check_rounds(check_long() ? 5000 : 300, one_fault);
    remove_folder();
    printf("%ld calls, %ld errors\n", n_calls, n_errors);
    CHECK(n_calls < 100 || n_errors > 0);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(faults)};
    return RUN_TESTS(tests);
}
