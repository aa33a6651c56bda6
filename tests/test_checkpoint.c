/* Checkpoints: round trips, differences between file and model, and that nothing changes on an error. */
#include "test_io.h"

/* ---- checkpoints ---- */

typedef struct example {
    wg_params *set;
    wg_param *weight, *bias;
    wg_buffer *state;
    wg_optimizer *optimizer;
} example;

static example example_new(uint64_t seed, int64_t rows)
{
    example x = {.set = wg_params_new_with(WG_F32, (wg_allocator){0}, seed)};
    x.weight = wg_param_new(x.set, "cell.weight", WG_DIMS(rows, 3), wg_init_uniform(-1, 1));
    x.bias = wg_param_new(x.set, "cell.bias", WG_DIMS(rows), wg_init_uniform(-1, 1));
    wg_param_tie(x.set, "decoder.weight", x.weight);
    x.state = wg_buffer_new(x.set, "state.h", WG_DIMS(2), wg_init_uniform(0, 1));
    x.optimizer = wg_adam_new(x.set, wg_adam_defaults());
    assert_non_null(x.optimizer);
    assert_int_equal(wg_params_status(x.set), WG_OK);
    return x;
}

static void example_free(example *x)
{
    wg_optimizer_free(x->optimizer);
    wg_params_free(x->set);
}

/* A step with a gradient of ones, so that the optimizer has a state. */
static void example_step(example *x)
{
    wg_param *all[] = {x->weight, x->bias};
    for (int i = 0; i < 2; i++) {
        float *g = wg_param_grad_write_begin(all[i]);
        for (int64_t k = 0; k < wg_param_numel(all[i]); k++) g[k] = 1;
        wg_param_grad_write_end(all[i]);
    }
    assert_int_equal(wg_optimizer_step(x->optimizer), WG_OK);
}

static wg_status example_save(const example *x, const char *path, wg_error *error)
{
    const wg_pair word = {"vocabulary", "abc"};
    const wg_checkpoint c = {x->set, x->optimizer, 17, 1ull << 63, &word, 1};
    return wg_checkpoint_save(path, &c, error);
}

/* The hash of all numbers of the set and its optimizer. */
static uint32_t example_hash(const example *x)
{
    uint32_t crc = 0;
    for (size_t i = 0; i < wg_params_count(x->set); i++) {
        const wg_param *p = wg_params_at(x->set, i);
        crc = wg__crc32(crc, wg_param_value(p), (size_t)wg_param_numel(p) * 4);
    }
    wg_dtype dtype;
    wg_shape shape;
    void *data;
    for (size_t i = 0; wg_optimizer_state_at(x->optimizer, i, NULL, &dtype, &shape, &data); i++) {
        size_t bytes;
        assert_true(wg_shape_bytes(&shape, dtype, &bytes));
        crc = wg__crc32(crc, data, bytes);
    }
    uint64_t steps = wg_optimizer_steps(x->optimizer);
    return wg__crc32(crc, &steps, sizeof steps);
}

static void test_checkpoint(void)
{
    wg_error error = {0};
    example a = example_new(1, 4), b = example_new(2, 4);
    example_step(&a);
    assert_int_not_equal(example_hash(&a), example_hash(&b));
    assert_int_equal(example_save(&a, in_folder("c"), &error), WG_OK);
    wg_safetensors *file = wg_safetensors_open(in_folder("c"), &error);
    assert_non_null(file);
    assert_string_equal(wg_safetensors_metadata(file, "vocabulary"), "abc");
    uint64_t version = wg_param_version(b.weight);
    wg_checkpoint c = {.params = b.set, .optimizer = b.optimizer};
    assert_int_equal(wg_checkpoint_load(file, &c, NULL, NULL, &error), WG_OK);
    assert_true(c.step == 17 && c.seed == 1ull << 63);
    assert_int_equal(wg_optimizer_steps(b.optimizer), 1);
    assert_int_equal(example_hash(&a), example_hash(&b));
    assert_true(wg_param_version(b.weight) > version);
    c.optimizer = a.optimizer; /* its parameters have the same names */
    assert_int_equal(wg_checkpoint_load(file, &c, NULL, NULL, &error), WG_ERR_ARGUMENT);
    ASSERT_HAS(error.text, "the optimizer is of another parameter set");
    assert_int_equal(wg_checkpoint_save(in_folder("d"), &c, NULL), WG_ERR_ARGUMENT);
    wg_safetensors_close(file);

    const wg_pair reserved = {"wengert.step", "1"};
    const wg_checkpoint bad = {.params = a.set, .metadata = &reserved, .n_metadata = 1};
    assert_int_equal(wg_checkpoint_save(in_folder("d"), &bad, &error), WG_ERR_ARGUMENT);
    assert_int_equal(wg_checkpoint_save(in_folder("d"), &(wg_checkpoint){0}, NULL), WG_ERR_ARGUMENT);
    const wg_checkpoint broken = {.params = a.set};
    assert_null(wg_param_new(a.set, "cell.bias", WG_DIMS(1), wg_init_zeros())); /* the name is taken */
    error = (wg_error){0};
    assert_int_equal(wg_checkpoint_save(in_folder("d"), &broken, &error), WG_ERR_ARGUMENT);
    ASSERT_HAS(error.text, "cell.bias");
    example_free(&a);
    example_free(&b);
}

/* The weight was frozen when the optimizer was made, and a parameter was added since. */
static example example_grown(uint64_t seed)
{
    example x = example_new(seed, 4);
    wg_optimizer_free(x.optimizer);
    wg_param_freeze(x.weight, true);
    x.optimizer = wg_adam_new(x.set, wg_adam_defaults());
    wg_param_freeze(x.weight, false);
    wg_param_new(x.set, "late", WG_DIMS(3), wg_init_uniform(-1, 1));
    return x;
}

/* Even before its first step, the optimizer loads the state of all of these parameters. */
static void test_checkpoint_grown(void)
{
    wg_error error = {0};
    example a = example_grown(1), b = example_grown(2);
    example_step(&a);
    assert_int_equal(example_save(&a, in_folder("c"), &error), WG_OK);
    wg_safetensors *file = wg_safetensors_open(in_folder("c"), &error);
    wg_checkpoint c = {.params = b.set, .optimizer = b.optimizer};
    if (wg_checkpoint_load(file, &c, NULL, NULL, &error) != WG_OK) fail_msg("%s", error.text);
    assert_int_equal(wg_optimizer_state_count(b.optimizer), 9);
    example_step(&a);
    example_step(&b);
    assert_int_equal(example_save(&a, in_folder("a"), &error), WG_OK);
    assert_int_equal(example_save(&b, in_folder("b"), &error), WG_OK);
    size_t size_a, size_b;
    char *bytes_a = get_file(in_folder("a"), &size_a), *bytes_b = get_file(in_folder("b"), &size_b);
    assert_int_equal(size_a, size_b);
    assert_memory_equal(bytes_a, bytes_b, size_a);
    free(bytes_a);
    free(bytes_b);
    wg_safetensors_close(file);
    example_free(&a);
    example_free(&b);
}

static bool without_memory;
static void *alloc_unless(void *context, size_t size) { return without_memory ? NULL : aligned_alloc(64, size); }
static void release_all(void *context, void *memory, size_t size) { free(memory); }

/* Without memory for the state of a thawed parameter, neither a save nor a load goes on without that state. */
static void case_save_oom_drops_state(void)
{
    wg_error error = {0};
    const wg_allocator memory = {alloc_unless, release_all, NULL};
    wg_params *set = wg_params_new_with(WG_F32, memory, 1);
    wg_param *w = wg_param_new(set, "w", WG_DIMS(4), wg_init_uniform(-1, 1));
    wg_checkpoint c = {.params = set, .step = 3};
    empty_folder();
    for (int loads = 0; loads < 2; loads++) {
        wg_param_freeze(w, true);
        c.optimizer = wg_adam_new(set, wg_adam_defaults());
        wg_param_freeze(w, false);
        wg_safetensors *file = loads ? wg_safetensors_open(in_folder("oom"), &error) : NULL;
        for (int again = 0; again < 2; again++) {
            without_memory = !again;
            wg_status status = loads ? wg_checkpoint_load(file, &c, wg_tolerate_all, NULL, &error)
                                     : wg_checkpoint_save(in_folder("oom"), &c, &error);
            without_memory = false;
            assert_int_equal(status, again ? WG_OK : WG_ERR_MEMORY);
            if (!again) ASSERT_HAS(error.text, "oom: adam: out of memory for the state of new parameters");
            assert_int_equal(count_files(), loads || again);
            error = (wg_error){0};
        }
        if (file) assert_int_equal(wg_safetensors_count(file), 4);
        assert_int_equal(wg_optimizer_state_count(c.optimizer), 3);
        wg_safetensors_close(file);
        wg_optimizer_free(c.optimizer);
    }
    wg_params_free(set);
}

typedef struct report {
    int n[4];
    char last[256];
} report;

static bool note_difference(void *context, const wg_difference *d)
{
    report *r = context;
    r->n[d->kind]++;
    snprintf(r->last, sizeof r->last, "%s", d->text);
    return true;
}

/* Loads a file of these tensors into an example. A strict load must fail and change nothing. */
static void check_difference(const wg_entry *tensors, size_t n, wg_difference_kind kind, const char *text)
{
    wg_error error = {0};
    example x = example_new(3, 4);
    uint32_t before = example_hash(&x);
    assert_int_equal(wg_safetensors_write(in_folder("d"), tensors, n, NULL, 0, &error), WG_OK);
    wg_safetensors *file = wg_safetensors_open(in_folder("d"), &error);
    assert_non_null(file);
    wg_checkpoint c = {.params = x.set, .step = 5, .seed = 6};
    assert_int_equal(wg_checkpoint_load(file, &c, NULL, NULL, &error), WG_ERR_FORMAT);
    ASSERT_HAS(error.text, text);
    assert_int_equal(example_hash(&x), before);
    assert_true(c.step == 5 && c.seed == 6);
    report r = {{0}, ""};
    error = (wg_error){0};
    assert_int_equal(wg_checkpoint_load(file, &c, note_difference, &r, &error), WG_OK);
    assert_int_equal(r.n[kind], 1);
    ASSERT_HAS(r.last, text);
    assert_true(c.step == 0 && c.seed == 0);
    assert_true(((const float *)wg_param_value(x.state))[1] == 6);
    wg_safetensors_close(file);
    example_free(&x);
}

static void test_checkpoint_differences(void)
{
    float values[12] = {5, 6};
    const int32_t integers[4] = {0};
    const wg_entry good[] = {{.name = "cell.weight", .shape = WG_DIMS(4, 3), .data = values},
                             {.name = "cell.bias", .shape = WG_DIMS(4), .data = values},
                             {.name = "state.h", .shape = WG_DIMS(2), .data = values},
                             {.name = "other", .shape = WG_DIMS(2), .data = values}};
    wg_entry e[4];
    check_difference(good, 4, WG_UNEXPECTED, "unexpected: other [2]");
    memcpy(e, good, sizeof e);
    e[1] = e[2];
    check_difference(e, 2, WG_MISSING, "missing: cell.bias [4]");
    memcpy(e, good, sizeof e);
    e[1].shape = WG_DIMS(2, 2);
    check_difference(e, 3, WG_OTHER_SHAPE, "cell.bias is [2, 2] in the file, [4] in the model");
    memcpy(e, good, sizeof e);
    e[1].dtype = WG_I32;
    e[1].data = integers;
    check_difference(e, 3, WG_OTHER_DTYPE, "cell.bias is I32 in the file, f32 in the model");
    const double wide[4] = {0, INFINITY, -1, 1e39};
    e[1].dtype = WG_F64;
    e[1].data = wide;
    check_difference(e, 3, WG_OTHER_DTYPE, "cell.bias has numbers that do not fit f32");
}

/* Writes a file of these tensors and this metadata (or NULL), and returns it opened. */
static wg_safetensors *file_of(const wg_entry *tensors, size_t n, const wg_pair *metadata)
{
    wg_error error = {0};
    assert_int_equal(wg_safetensors_write(in_folder("t"), tensors, n, metadata, metadata ? 1 : 0, &error), WG_OK);
    wg_safetensors *file = wg_safetensors_open(in_folder("t"), &error);
    assert_non_null(file);
    return file;
}

/* The checkpoint refuses such a file, whatever differences are tolerated, for this reason. */
static void check_refused(const wg_entry *tensors, size_t n, const wg_pair *metadata, wg_checkpoint c,
                          wg_tolerate tolerate, const char *reason)
{
    wg_error error = {0};
    wg_safetensors *file = file_of(tensors, n, metadata);
    assert_int_equal(wg_checkpoint_load(file, &c, tolerate, NULL, &error), WG_ERR_FORMAT);
    ASSERT_HAS(error.text, reason);
    wg_safetensors_close(file);
}

/* A state that differs, and is tolerated, stays as it is. */
static void test_checkpoint_state_tolerated(void)
{
    float many[64] = {7};
    const double wide[4] = {1e300};
    const int32_t steps[2] = {5, 5};
    const wg_entry other[] = {
        {.name = "optim.exp_avg.cell.bias", .shape = WG_DIMS(64), .data = many},
        {.name = "optim.exp_avg.cell.bias", .dtype = WG_F64, .shape = WG_DIMS(4), .data = wide},
        {.name = "optim.step.cell.bias", .dtype = WG_I32, .shape = WG_DIMS(2), .data = steps},
        {.name = "optim.step.cell.bias", .shape = WG_SCALAR, .data = many}};
    example x = example_new(4, 4);
    example_step(&x);
    wg_checkpoint c = {.params = x.set, .optimizer = x.optimizer};
    wg_optimizer_set_steps(x.optimizer, 0); /* as a file without steps */
    const uint32_t before = example_hash(&x);
    for (int i = 0; i < 4; i++) {
        wg_safetensors *file = file_of(&other[i], 1, NULL);
        assert_int_equal(wg_checkpoint_load(file, &c, wg_tolerate_all, NULL, NULL), WG_OK);
        assert_int_equal(example_hash(&x), before);
        wg_safetensors_close(file);
    }
    example_free(&x);
}

static void test_checkpoint_refused(void)
{
    float one[12] = {1}, two[12] = {2};
    example x = example_new(4, 4);
    wg_param_tie(x.set, "third.weight", x.weight);
    uint32_t before = example_hash(&x);
    const wg_checkpoint set_only = {.params = x.set}, all = {.params = x.set, .optimizer = x.optimizer};
    const wg_entry tied[] = {{.name = "cell.weight", .shape = WG_DIMS(4, 3), .data = one},
                             {.name = "decoder.weight", .shape = WG_DIMS(4, 3), .data = two},
                             {.name = "cell.bias", .shape = WG_DIMS(4), .data = one},
                             {.name = "state.h", .shape = WG_DIMS(2), .data = one}};
    check_refused(tied, 4, NULL, set_only, wg_tolerate_all, "are tied but differ");
    wg_entry later[4]; /* the two names that differ are both added by ties */
    memcpy(later, tied, sizeof later);
    later[0].name = "third.weight";
    check_refused(later, 4, NULL, set_only, wg_tolerate_all, "are tied but differ");

    const int32_t steps = -1;
    const wg_entry negative = {.name = "optim.step.cell.bias", .dtype = WG_I32, .shape = WG_SCALAR, .data = &steps};
    check_refused(&negative, 1, NULL, all, wg_tolerate_all, "optim.step.cell.bias is -1");
    const wg_pair step = {"wengert.step", "-3"}, other = {"wengert.optimizer", "sgd"};
    check_refused(tied + 1, 3, &step, set_only, NULL, "not an integer");
    check_refused(tied + 1, 3, &other, all, NULL, "saved with optimizer sgd, not adam");
    assert_int_equal(example_hash(&x), before);

    wg_safetensors *file = file_of(tied + 1, 3, &other);
    wg_checkpoint c = set_only;
    wg_error error = {0};
    assert_int_equal(wg_checkpoint_load(file, &c, NULL, NULL, &error), WG_OK); /* one name of a tie is enough */
    wg_safetensors_close(file);
    assert_int_equal(wg_checkpoint_load(NULL, &c, NULL, NULL, NULL), WG_ERR_ARGUMENT);
    example_free(&x);
}

/* PyTorch's batch norm counts its batches in I64. Such numbers load into buffers of floats, and into nothing else. */
static void test_checkpoint_whole_numbers(void)
{
    static const char header[] = "{\"n\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[0,16]}}";
    const int64_t numbers[2] = {1234567, -3};
    wg_error error = {0};
    wg_safetensors *file = file_with(header, numbers, sizeof numbers);
    for (int dtype = WG_F32; dtype <= WG_F64; dtype++) {
        wg_params *set = wg_params_new((wg_dtype)dtype);
        wg_buffer *n = wg_buffer_new(set, "n", WG_DIMS(2), wg_init_zeros());
        wg_checkpoint c = {.params = set};
        assert_int_equal(wg_checkpoint_load(file, &c, NULL, NULL, &error), WG_OK);
        const void *got = wg_param_value(n);
        for (int i = 0; i < 2; i++) {
            double number = dtype == WG_F64 ? ((const double *)got)[i] : (double)((const float *)got)[i];
            assert_true(number == (double)numbers[i]);
        }
        wg_params_free(set);
    }
    wg_params *set = wg_params_new(WG_F32);
    wg_param_new(set, "n", WG_DIMS(2), wg_init_zeros());
    wg_checkpoint c = {.params = set};
    assert_int_equal(wg_checkpoint_load(file, &c, NULL, NULL, &error), WG_ERR_FORMAT);
    ASSERT_HAS(error.text, "dtype differs: n is I64 in the file, f32 in the model");
    wg_params_free(set);
    wg_safetensors_close(file);
}

/* F64 files load into f32 sets, rounded to nearest, and F32 files into f64 sets; so do the optimizer's states. */
static void case_f64_file(void)
{
    const double wide[4] = {1.0 / 3, -1e-50, INFINITY, 3.4028234e38};
    const float narrow[4] = {1.0f / 3, -0.0f, INFINITY, 3.4028234e38f};
    const int32_t steps = 3;
    for (int to = WG_F32; to <= WG_F64; to++) {
        wg_error error = {0};
        wg_dtype from = to == WG_F32 ? WG_F64 : WG_F32;
        const void *numbers = to == WG_F32 ? (const void *)wide : narrow;
        const wg_entry tensors[] = {
            {.name = "w", .dtype = from, .shape = WG_DIMS(2, 2), .data = numbers},
            {.name = "optim.exp_avg.w", .dtype = from, .shape = WG_DIMS(2, 2), .data = numbers},
            {.name = "optim.exp_avg_sq.w", .dtype = from, .shape = WG_DIMS(2, 2), .data = numbers},
            {.name = "optim.step.w", .dtype = WG_I32, .shape = WG_SCALAR, .data = &steps}};
        wg_params *set = wg_params_new((wg_dtype)to);
        wg_param *w = wg_param_new(set, "w", WG_DIMS(2, 2), wg_init_zeros());
        wg_checkpoint c = {.params = set, .optimizer = wg_adam_new(set, wg_adam_defaults())};
        wg_safetensors *file = file_of(tensors, 4, NULL);
        void *state;
        if (wg_checkpoint_load(file, &c, NULL, NULL, &error) != WG_OK) fail_msg("%s", error.text);
        assert_true(wg_optimizer_state_at(c.optimizer, 0, NULL, NULL, NULL, &state));
        for (int i = 0; i < 4; i++) {
            const void *both[] = {wg_param_value(w), state};
            for (int k = 0; k < 2 && to == WG_F32; k++) assert_true(((const float *)both[k])[i] == narrow[i]);
            for (int k = 0; k < 2 && to == WG_F64; k++)
                assert_true(((const double *)both[k])[i] == (double)narrow[i]);
        }
        wg_safetensors_close(file);
        wg_optimizer_free(c.optimizer);
        wg_params_free(set);
    }
}

/* Names from a file reach messages and the texts of differences as one line, without control characters. */
static void case_escape_in_message(void)
{
#define NASTY "a\n\x1b[2J\x1b]0;owned\x07\xc2\x9b\xe2\x80\xae"
    const float one[1] = {1};
    const wg_entry tensors[] = {{.name = NASTY, .shape = WG_DIMS(1), .data = one},
                                {.name = "optim." NASTY, .shape = WG_DIMS(1), .data = one}};
    const wg_pair step = {"wengert.step", NASTY}, optimizer = {"wengert.optimizer", NASTY};
    const wg_pair *metadata[] = {NULL, &step, &optimizer};
    example x = example_new(1, 4);
    wg_params *other = wg_params_new(WG_F32);
    wg_param_new(other, NASTY, WG_DIMS(2), wg_init_zeros());
    assert_null(wg_param_new(other, NASTY, WG_DIMS(2), wg_init_zeros()));
    char messages[5][400];
    for (int i = 0; i < 3; i++) {
        wg_error error = {0};
        wg_safetensors *file = file_of(tensors, 2, metadata[i]);
        wg_checkpoint c = {.params = x.set, .optimizer = x.optimizer};
        assert_int_equal(wg_checkpoint_load(file, &c, NULL, NULL, &error), WG_ERR_FORMAT);
        strcpy(messages[i], error.text);
        report r = {{0}, ""};
        if (i == 0) assert_int_equal(wg_checkpoint_load(file, &c, note_difference, &r, NULL), WG_OK);
        if (i == 0) strcpy(messages[3], r.last);
        wg_safetensors_close(file);
    }
    strcpy(messages[4], wg_params_message(other));
    for (int i = 0; i < 5; i++) {
        for (const char *p = messages[i]; *p; p++) assert_true((unsigned char)*p >= 32 && *p != 127);
        assert_null(strstr(messages[i], "\xc2\x9b"));
        assert_null(strstr(messages[i], "\xe2\x80\xae"));
    }
    ASSERT_HAS(messages[3], "unexpected: optim.a\\x0a\\x1b[2J");
    ASSERT_HAS(messages[4], "parameter a\\x0a\\x1b[2J");
    wg_params_free(other);
    example_free(&x);
}

/* Every allocation of a save and of a load fails in turn. */
static void test_memory_faults(void)
{
    wg_error error;
    example a = example_new(1, 4), b = example_new(2, 4);
    uint32_t before = example_hash(&b);
    bool done = false;
    empty_folder();
    for (long k = 1; !done; k++) {
        error = (wg_error){0};
        fault_begin(0, k, false);
        wg_status status = example_save(&a, in_folder("c"), &error);
        done = fault.allocations < k;
        fault_end();
        assert_int_equal(status, done ? WG_OK : WG_ERR_MEMORY);
        assert_int_equal(count_files(), done ? 1 : 0);
    }
    wg_status status;
    done = false;
    for (long k = 1; !done; k++) {
        error = (wg_error){0};
        fault_begin(0, k, false);
        wg_safetensors *file = wg_safetensors_open(in_folder("c"), &error);
        done = fault.allocations < k;
        fault_end();
        wg_checkpoint c = {.params = b.set, .optimizer = b.optimizer};
        if (!file) assert_int_equal(error.status, WG_ERR_MEMORY);
        if (!done) assert_int_equal(example_hash(&b), before);
        for (long i = 1, loaded = 0; done && !loaded; i++) {
            assert_int_equal(example_hash(&b), before);
            fault_begin(0, i, false);
            status = wg_checkpoint_load(file, &c, wg_tolerate_all, NULL, NULL);
            loaded = fault.allocations < i;
            fault_end();
            assert_int_equal(status, loaded ? WG_OK : WG_ERR_MEMORY);
        }
        wg_safetensors_close(file);
    }
    assert_int_equal(example_hash(&a), example_hash(&b));
    wg_text text;
    fault_begin(0, 1, false);
    assert_int_equal(wg_text_read(in_folder("c"), &text, NULL), WG_ERR_MEMORY);
    fault_end();
    example_free(&a);
    example_free(&b);
}

int main(int argc, char **argv)
{
    static const test tests[] = {
        TEST_CASE(test_checkpoint),
        TEST_CASE(test_checkpoint_grown),
        TEST_CASE(case_save_oom_drops_state),
        TEST_CASE(test_checkpoint_differences),
        TEST_CASE(test_checkpoint_state_tolerated),
        TEST_CASE(test_checkpoint_refused),
        TEST_CASE(test_checkpoint_whole_numbers),
        TEST_CASE(case_f64_file),
        TEST_CASE(case_escape_in_message),
        TEST_CASE(test_memory_faults),
    };
    make_folder();
    int failed = RUN_TESTS(tests);
    remove_folder();
    return failed;
}
