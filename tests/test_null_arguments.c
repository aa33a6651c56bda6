/* Every public function with NULL, unset and nonsensical arguments, one at a time and all together: no call crashes,
 * hangs or returns what it must not. The calls are generated from the headers: see null_arguments.py. */
#include "check.h"
#include "null_arguments.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef WG_COVERAGE /* tests/coverage.py: _exit writes no counters */
void __gcov_dump(void);
#endif

/* Under AddressSanitizer an allocation of 2^42 bytes is NULL, as without. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "allocator_may_return_null=1"; }

world w;
layers fresh;
va_list no_arguments;

enum { CHILD_OK, CHILD_STATUS = 10, CHILD_TENSOR, CHILD_SILENT, CHILD_TAPE, CHILD_MESSAGE, SECONDS = 20 };
static const char *const reasons[] = {"the status is none of wg_status", "the tensor is none",
                                      "nil without an error on its tape", "the tape does not work any more",
                                      "an error without a message of one line"};

/* ---- callbacks ---- */

void on_gradient(void *context, wg_param *param, void *gradient) {}
void on_error(void *context, wg_status status, const char *message) {}

wg_tensor loss(void *context, wg_tape *tape, wg_params *set)
{
    return wg_sum_all(wg_square(wg_use(tape, wg_params_at(set, 0))));
}

static wg_tensor loss_of_batch(void *context, const wg_fit_batch *batch) { return loss(NULL, batch->tape, w.set); }

wg_tensor step(void *context, wg_tensor x, wg_tensor *state, int n)
{
    for (int i = 0; i < n; i++) state[i] = wg_tanh(state[i]);
    return wg_tanh(x);
}

wg_status score(void *context, int64_t at, const int32_t *token, const int32_t *parent, float *log_probabilities)
{
    log_probabilities[0] = 0;
    return WG_OK;
}

void on_trace(void *context, const wg_trace_event *event) {}
void on_scope(void *context, const char *scope, size_t bytes) {}
wg_status fill(void *context, size_t tensor, uint64_t offset, void *bytes, size_t size, wg_error *error)
{
    memset(bytes, 0, size);
    return WG_OK;
}

static wg_status nop_infer(wg_infer *c)
{
    c->out = c->in[0];
    return WG_OK;
}

static void nop_kernel(const wg_args *args, int64_t task)
{
    memset(args->out.data, 0, (size_t)args->out.numel * wg_dtype_size(args->out.dtype));
}

static wg_kernel nop_select(const wg_op *op, const wg_dtype *in, int n_in, wg_dtype out) { return nop_kernel; }

const wg_op nop = {.struct_size = sizeof(wg_op),
                   .name = "nop",
                   .min_in = 1,
                   .max_in = 4,
                   .infer = nop_infer,
                   .select = nop_select};

/* ---- valid objects ---- */

static void make_layers(layers *l, wg_params *set)
{
    wg_rnn_options lstm = wg_rnn_defaults();
    wg_score_options additive = wg_score_defaults();
    wg_conv_layer_options line = wg_conv_layer_defaults();
    wg_jordan_options learned = wg_jordan_defaults();
    lstm.cell = WG_LSTM;
    lstm.learned_state = learned.learned_output = true;
    additive.kind = WG_SCORE_ADDITIVE;
    line.axes = 1;
    wg_linear_init(&l->linear_layer, set, "linear", 6, 6, wg_linear_defaults());
    wg_conv_init(&l->conv_layer, set, "conv", 6, 6, WG_DIMS(1), line);
    wg_embedding_init(&l->embedding_layer, set, "embedding", 8, 6, 0);
    wg_layer_norm_init(&l->layer_norm_layer, set, "layer_norm", 6);
    wg_batch_norm_init(&l->batch_norm_layer, set, "batch_norm", 6);
    wg_rms_norm_init(&l->rms_norm_layer, set, "rms_norm", 6);
    wg_rnn_init(&l->rnn, set, "rnn", 6, 6, lstm);
    wg_rnn_carry_init(&l->rnn_carry, &l->rnn, set, "carry", 4);
    wg_score_init(&l->score_layer, set, "score", 6, 6, additive);
    wg_mha_init(&l->mha, set, "mha", 6, 2, wg_mha_defaults());
    wg_position_init(&l->position_layer, set, "position", WG_POSITION_LEARNED, 8, 6, 1);
    wg_jordan_init(&l->jordan, set, "jordan", 6, 6, 6, learned);
    wg_simple_gru_init(&l->simple_gru, set, "simple_gru", 6, 6, true);
    wg_transformer_layer_init(&l->transformer_layer, set, "layer", 6, true, wg_transformer_defaults());
    wg_transformer_stack_init(&l->transformer_stack, set, "stack", 6, 1, true, true, wg_transformer_defaults());
    wg_transformer_init(&l->transformer, set, "transformer", 6, 1, 1, wg_transformer_defaults());
    wg_lm_init(&l->lm, set, "lm", 9, 8, 6, 1, wg_lm_defaults());
    wg_kv_cache_init(&l->kv_cache, &l->transformer_stack, set, "cache", 4, 8, 4);
    if (wg_params_status(set) != WG_OK) FAIL("%s", wg_params_message(set));
}

static void make_tensors(void)
{
    static const float numbers[36] = {1, 2, 3};
    static const int32_t zeros[4];
    w.stale = wg_data(w.tape, WG_F32, WG_DIMS(4, 6), numbers);
    wg_tape_reset(w.tape);
    w.nil = (wg_tensor){.tape = w.tape, .epoch = w.stale.epoch + 1};
    w.elsewhere = wg_data(w.other, WG_F32, WG_DIMS(4, 6), numbers);
    w.x = wg_data(w.tape, WG_F32, WG_DIMS(4, 6), numbers);
    w.weight = wg_use(w.tape, w.param);
    w.bias = wg_data(w.tape, WG_F32, WG_DIMS(6), numbers);
    w.index = wg_data(w.tape, WG_I32, WG_DIMS(4), zeros);
    w.mask = wg_greater(w.x, wg_scalar(w.tape, WG_F32, 0.5));
    w.loss = loss(NULL, w.tape, w.set);
    for (int i = 0; i < 8; i++) w.many[i] = wg_scale(w.x, i);
    for (int i = 0; i < 64; i++) w.out[i] = w.many[i % 8];
    w.named_in[0] = (wg_onnx_named){.name = "a", .tensor = w.x};
    w.named_in[1] = (wg_onnx_named){.name = "b", .tensor = w.index};
    w.named_out[0] = (wg_onnx_named){.name = "c", .tensor = w.many[1]};
    w.keys = (wg_keys){w.x, w.x, WG_NONE};
    w.state = wg_rnn_zero_state(&w.l.rnn, w.tape, 4);
    w.infer = (wg_infer){.op = &nop};
    w.args = (wg_args){.op = &nop};
    if (wg_tape_status(w.tape) != WG_OK) FAIL("%s", wg_tape_message(w.tape));
}

/* Functions that read and write files share one; it is written anew after them. */
static void write_file(void)
{
    wg_error error = {0};
    if (wg_checkpoint_save(w.path, &(wg_checkpoint){.params = w.set, .step = 3}, &error) != WG_OK)
        FAIL("%s", error.text);
}

/* Data sets, tables and media: of 6 samples, a row, a pixel. */
static void make_data(void)
{
    char path[80];
    w.dataset = (wg_dataset){.n = 6, .n_fields = 1, .field = {{WG_F32, WG_DIMS(4), w.floats}}};
    wg_feed_options options = wg_feed_defaults();
    options.prefetch = 0; /* children have no thread */
    w.feed = wg_feed_new(&w.dataset, options, NULL);
    w.batch = (wg_batch){.n = 4, .n_fields = 1, .field = {{WG_F32, WG_DIMS(4, 6), w.floats}}};
    w.confusion = wg_confusion_new(3, NULL);
    w.picture = (wg_picture){1, 1, 1, calloc(1, 1)};
    w.sound = (wg_sound){1, 1, 8000, calloc(1, sizeof(float))};
    for (int i = 0; i < 8; i++) w.words[i] = "word";
    snprintf(path, sizeof path, "%s.csv", w.path);
    static const char sum[] =
        "\010\010:"
        "3\012\016\012\001a\012\001b\022\001y\042\003Add\022\000Z\011\012\001a\022\004\012\002\010\001Z\011\012\001"
        "b\022\004\012\002\010\001b\011\012\001y\022\004\012\002\010\001B\004\012\000\020\021"; /* a + b = y */
    FILE *file = fopen(path, "wb");
    assert_true(file && fwrite(sum, 1, sizeof sum - 1, file) == sizeof sum - 1 && fclose(file) == 0);
    w.onnx = wg_onnx_open(path, NULL);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs("a,b\n1,x\n", file);
    fclose(file);
    w.csv = wg_csv_open(path, wg_csv_defaults(), NULL);
    remove(path);
    assert_true(w.confusion && w.picture.pixels && w.sound.samples && w.csv);
}

/* A log whose file is gone when the process ends. */
static wg_log_file *make_log(void)
{
    char made[80];
    snprintf(made, sizeof made, "%s.log", w.path);
    wg_log_file *log = wg_log_open(made, NULL);
    if (log) unlink(wg_log_path(log));
    rmdir(made);
    return log;
}

static void make_world(void)
{
    static const int64_t first_sample[1] = {0};
    w.tape = wg_tape_new(wg_tape_defaults());
    w.other = wg_tape_new(wg_tape_defaults());
    w.pool = wg_pool_new(2);
    w.set = wg_params_new(WG_F32);
    w.param = wg_param_new(w.set, "weight", WG_DIMS(6, 6), wg_init_uniform(-1, 1));
    w.buffer = wg_buffer_new(w.set, "buffer", WG_DIMS(4, 6), wg_init_zeros());
    w.optimizer = wg_adam_new(w.set, wg_adam_defaults());
    w.average = wg_average_new(w.set, 0.9);
    w.loader = wg_loader_new(10, wg_loader_defaults(), NULL);
    w.fit = (wg_fit_options){
        .params = w.set, .optimizer = w.optimizer, .tape = w.tape, .loss = loss_of_batch, .batch = 4, .steps = 2};
    w.trainer = wg_trainer_new(&w.fit, NULL);
    w.fit_batch = (wg_fit_batch){.tape = w.tape, .sample = first_sample, .n = 1};
    make_layers(&w.l, w.set);
    make_tensors();
    snprintf(w.path, sizeof w.path, "/tmp/wengert-null-%d", (int)getpid());
    write_file();
    w.log = make_log();
    w.report = wg_report_new("report");
    w.string = "word";
    w.series[0] = w.series[1] = (wg_series){.name = "a", .x = w.doubles, .y = w.doubles, .n = 8};
    w.file = wg_safetensors_open(w.path, NULL);
    make_data();
    w.null = fopen("/dev/null", "w");
    memset(w.long_name, 'a', sizeof w.long_name - 1);
    w.shape = WG_DIMS(4, 6);
    w.idx = (wg_idx){.type = WG_IDX_F32, .shape = WG_DIMS(4), .data = calloc(4, sizeof(float))};
    w.entry = (wg_entry){.name = "a", .type = "F32", .shape = WG_DIMS(4), .data = w.floats, .bytes = 16};
    w.pair = (wg_pair){"key", "value"};
    w.checkpoint = (wg_checkpoint){.params = w.set, .optimizer = w.optimizer, .metadata = &w.pair, .n_metadata = 1};
    w.stop = wg_early_stop_defaults();
    w.stop.path = w.path;
    w.stop.best = 3;
    w.difference = (wg_difference){.kind = WG_MISSING, .name = "a", .text = "missing: a"};
    assert_true(w.pool && w.optimizer && w.log && w.report && w.average && w.loader && w.trainer && w.onnx &&
                w.file && w.null && w.idx.data);
}

/* ---- results ---- */

static const call_row *running;
static wg_tensor result;
static bool has_result;

void check_status(wg_status status)
{
    const bool given = strstr(running->text, "(wg_status)"); /* some return the status that they are given */
    if ((unsigned)status > WG_ERR_FORMAT && !given) _exit(CHILD_STATUS);
}

void check_tensor(wg_tensor tensor)
{
    result = tensor;
    has_result = true;
}

static void check_result(void)
{
    wg_tape *tape = result.tape;
    if ((tape && tape != w.tape && tape != w.other) || (!tape && result.node)) _exit(CHILD_TENSOR);
    /* nil goes through without an error of its own, also from one tape to the other */
    const bool silent = wg_tape_status(w.tape) == WG_OK && wg_tape_status(w.other) == WG_OK;
    if (tape && !result.node && !strstr(running->text, "w.nil") && silent) _exit(CHILD_SILENT);
    (void)wg_value(result); /* what was recorded can be computed, or is an error */
}

static void check_tape(wg_tape *tape)
{
    const float numbers[3] = {1, 2, 3};
    const char *message = wg_tape_message(tape);
    if (wg_tape_status(tape) != WG_OK && (!message[0] || strchr(message, '\n'))) _exit(CHILD_MESSAGE);
    wg_tape_reset(tape);
    if (!(wg_item(wg_sum_all(wg_exp(wg_log(wg_data(tape, WG_F32, WG_DIMS(3), numbers))))) > 5.9)) _exit(CHILD_TAPE);
    if (wg_tape_reset(tape) != WG_OK) _exit(CHILD_TAPE);
}

static bool begins(const char *with) { return !strncmp(running->text, with, strlen(with)); }

static void in_child(void)
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++) signal(fatal[i], SIG_DFL); /* cmocka's would go on */
    alarm(SECONDS);
    running->call(running->variant);
    if (has_result) check_result();
    if (!begins("wg_tape_free(w.tape)") && !begins("wg_params_free(w.set)")) check_tape(w.tape);
    check_tape(w.other);
}

static void explain(int status)
{
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (WIFSIGNALED(status))
        FAIL("%s: signal %d", running->text, WTERMSIG(status));
    else if (code >= CHILD_STATUS && code <= CHILD_MESSAGE)
        FAIL("%s: %s", running->text, reasons[code - CHILD_STATUS]);
    else if (code)
        FAIL("%s: exit code %d", running->text, code);
}

static void case_null_arguments(void)
{
    const char *part = getenv("WG_TEST_CALL"); /* only calls that contain it, in this process: for a debugger */
    make_world();
    for (size_t i = 0; i < n_call_rows; i++) {
        running = &call_rows[i];
        int status = 0;
        if (part && !strstr(running->text, part)) continue;
        if (check_emulated() && begins("wg_pool_new(")) continue;
        if (part) in_child();
        fflush(NULL);
        const pid_t child = part ? 0 : fork();
        if (child == 0 && !part) {
            in_child();
#ifdef WG_COVERAGE
            __gcov_dump();
#endif
            _exit(CHILD_OK);
        }
        if (!part && (child < 0 || waitpid(child, &status, 0) != child)) FAIL("cannot fork");
        explain(status);
        if (strstr(running->text, "w.path") || strstr(running->text, "w.stop")) write_file();
    }
    remove(w.path);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(case_null_arguments)};
    return RUN_TESTS(tests);
}
