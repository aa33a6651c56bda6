/* Threads and processes: what may be shared for reading is read by several threads (run under the thread sanitizer by
 * .ci/run), and a child after fork() uses, frees and makes pools. */
#include "tensors.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FORKS = SANITIZED_THREADS ? 0 : 20 }; /* that sanitizer has no threads in a child */
enum { MEMBERS = 6, READERS = 3, ROUNDS = 30 };

static wg_params *set;
static wg_param *member[MEMBERS];
static wg_pool *pool;
static pthread_barrier_t together;

static void make_set(void)
{
    char name[8];
    set = wg_params_new(WG_F32);
    for (int i = 0; i < MEMBERS; i++) {
        snprintf(name, sizeof name, "w%d", i);
        member[i] = wg_param_new(set, name, WG_DIMS(96, 96), wg_init_uniform(-0.1, 0.1));
    }
}

static wg_tensor output_of(wg_tape *tape)
{
    wg_tensor x = wg_ones(tape, WG_F32, WG_DIMS(40, 96));
    for (int i = 0; i < MEMBERS; i++) x = wg_tanh(wg_matmul(x, wg_use(tape, member[i])));
    return wg_sum_all(x);
}

/* ---- readers of one set ---- */

/* Every function that takes a set or a member as const. */
static double read_all(void)
{
    double sum = 0;
    char text[4096];
    for (size_t i = 0; i < wg_params_count(set); i++) {
        const wg_param *p = wg_params_at(set, i);
        const float *value = wg_param_value(p), *grad = wg_param_grad(p);
        sum += (double)wg_param_numel(p) + wg_param_is_frozen(p) + wg_param_is_buffer(p);
        for (int k = 0; k < 96 * 96; k++) sum += (double)value[k] + (double)grad[k];
        sum += wg_param_find(set, wg_param_name(p)) == p && wg_param_set(p) == set;
        sum += (double)wg_param_version(p) + wg_param_shape(p).rank + wg_param_dtype(p);
        sum += wg_params_name_at(set, i)[0];
    }
    sum += wg_params_status(set) + wg_params_message(set)[0] + wg_params_dtype(set) + wg_params_grad_valid(set);
    sum += (double)wg_params_trainable(set) + (double)wg_params_memory(set).live;
    return sum + (double)wg_summary(set, text, sizeof text) + (wg_params_allocator(set).alloc != NULL);
}

static void *reader(void *context)
{
    double *results = context;
    for (int round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&together); /* the gradients have just been set to zero */
        results[round] = read_all();
        pthread_barrier_wait(&together);
    }
    return NULL;
}

static void case_param_grad_race(void)
{
    static double results[READERS][ROUNDS];
    pthread_t threads[READERS];
    make_set();
    pthread_barrier_init(&together, NULL, READERS + 1);
    for (int i = 0; i < READERS; i++) assert_int_equal(pthread_create(&threads[i], NULL, reader, results[i]), 0);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < MEMBERS; i++) {
            float *grad = wg_param_grad_write_begin(member[i]);
            for (int k = 0; k < 96 * 96; k++) grad[k] = 1;
            wg_param_grad_write_end(member[i]);
        }
        wg_zero_grad(set);
        pthread_barrier_wait(&together);
        pthread_barrier_wait(&together);
        for (int i = 0; i < READERS; i++) CHECK(results[i][round] == results[0][0]);
    }
    for (int i = 0; i < READERS; i++) pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&together);
    wg_params_free(set);
}

/* ---- two tapes, one pool, one set ---- */

static void *evaluator(void *context)
{
    double *result = context;
    wg_tape *tape = tape_by(NULL, pool);
    pthread_barrier_wait(&together);
    for (int round = 0; round < ROUNDS; round++) {
        wg_tensor y = output_of(tape), x = wg_ones(tape, WG_F32, WG_DIMS(3));
        double now = wg_item(y) + read_all();
        now += (double)((const float *)wg_value(wg_grad1(output_of(tape), wg_use(tape, member[0]), WG_NONE)))[7];
        now += (double)((const float *)wg_value(wg_exp(x)))[0];
        if (round == 0) *result = now;
        CHECK(now == *result && wg_tape_reset(tape) == WG_OK);
    }
    wg_tape_free(tape);
    return NULL;
}

static void two_tapes_read_one_set(void)
{
    double results[2];
    pthread_t other;
    make_set();
    pool = wg_pool_new(3);
    pthread_barrier_init(&together, NULL, 2);
    assert_int_equal(pthread_create(&other, NULL, evaluator, &results[1]), 0);
    evaluator(&results[0]);
    pthread_join(other, NULL);
    CHECK(results[0] == results[1]);
    pthread_barrier_destroy(&together);
    wg_pool_free(pool);
    wg_params_free(set);
}

/* ---- fork ---- */

static double step_on(wg_tape *tape)
{
    wg_zero_grad(set);
    wg_tensor loss = output_of(tape);
    if (wg_backward(loss) != WG_OK) return NAN;
    double result = wg_item(loss) + (double)((const float *)wg_param_grad(member[2]))[11];
    return wg_tape_reset(tape) == WG_OK ? result : NAN;
}

/* 0, or what failed. */
static int in_child(wg_tape *inherited, double wanted)
{
    if (step_on(inherited) != wanted) return 1;
    wg_tape *second = tape_by(NULL, pool);
    if (step_on(second) != wanted) return 2;
    wg_tape_free(second);
    wg_tape_free(inherited);
    if (wg_pool_threads(pool) != 4) return 3;
    wg_pool_free(pool);
    wg_pool *own = wg_pool_new(3);
    wg_tape *third = tape_by(NULL, own);
    if (step_on(third) != wanted) return 4;
    wg_tape_free(third);
    wg_pool_free(own);
    return 0;
}

static _Atomic bool stop;

/* Keeps the pool busy, so that the child inherits it in any state. */
static void *busy(void *context)
{
    wg_tape *tape = tape_by(NULL, pool);
    while (!stop) {
        wg_tensor a = wg_uniform(tape, WG_F32, WG_DIMS(128, 128), 0, 1);
        (void)wg_item(wg_sum_all(wg_matmul(wg_exp(a), a)));
        wg_tape_reset(tape);
    }
    wg_tape_free(tape);
    return NULL;
}

static void case_fork_pool_free(void)
{
    const int forks = check_emulated() ? 0 : FORKS;
    for (int at_work = 0; at_work < 2; at_work++) {
        pthread_t other;
        make_set();
        pool = wg_pool_new(4);
        wg_tape *tape = tape_by(NULL, pool);
        const double wanted = step_on(tape);
        stop = false;
        if (at_work) assert_int_equal(pthread_create(&other, NULL, busy, NULL), 0);
        for (int i = 0; i < forks; i++) {
            int status = -1;
            const pid_t child = fork();
            if (child == 0) {
                alarm(60);
                _exit(in_child(tape, wanted));
            }
            CHECK(child > 0 && waitpid(child, &status, 0) == child);
            if (status != 0)
                FAIL("child %d: %s %d", i, WIFSIGNALED(status) ? "signal" : "exit code",
                     WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        }
        CHECK(step_on(tape) == wanted); /* the parent goes on */
        stop = true;
        if (at_work) pthread_join(other, NULL);
        wg_tape_free(tape);
        wg_pool_free(pool);
        wg_params_free(set);
    }
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(case_param_grad_race), TEST_CASE(two_tapes_read_one_set),
                                 TEST_CASE(case_fork_pool_free)};
    return RUN_TESTS(tests);
}
