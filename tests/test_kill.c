/* Saves that are killed: whatever the moment, the checkpoint of the last finished save or of the one after it is there,
 * whole, and the next save works. A round is a process that saves and one SIGKILL. */
#include "../io/io.h"
#include "check.h"
#include "random.h"
#include "wengert.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NUMBERS = 20000 };

static char folder[64], path[96];

/* A training run in which everything is its step, so that a mixture of two saves shows. */
typedef struct run {
    wg_params *set;
    wg_param *w;
    wg_optimizer *optimizer;
    wg_checkpoint checkpoint;
} run;

static void begin(run *r)
{
    r->set = wg_params_new(WG_F32);
    r->w = wg_param_new(r->set, "w", WG_DIMS(NUMBERS), wg_init_zeros());
    r->optimizer = wg_adam_new(r->set, wg_adam_defaults());
    r->checkpoint = (wg_checkpoint){.params = r->set, .optimizer = r->optimizer};
}

static void end(run *r)
{
    wg_optimizer_free(r->optimizer);
    wg_params_free(r->set);
}

static void set_step(run *r, uint64_t step)
{
    float *w = wg_param_write_begin(r->w);
    for (int i = 0; i < NUMBERS; i++) w[i] = (float)(step % 1000003);
    wg_param_write_end(r->w);
    wg_optimizer_set_steps(r->optimizer, step);
    r->checkpoint.step = step;
}

/* The step of the file; 0: there is none. */
static uint64_t load(run *r)
{
    wg_error error = {0};
    if (access(path, F_OK) != 0) return 0;
    wg_safetensors *file = wg_safetensors_open(path, &error);
    if (!file || wg_checkpoint_load(file, &r->checkpoint, NULL, NULL, &error) != WG_OK)
        FAIL("a killed save left %s", error.text);
    wg_safetensors_close(file);
    const float *w = wg_param_value(r->w);
    const uint64_t step = r->checkpoint.step;
    for (int i = 0; i < NUMBERS; i++)
        if (w[i] != (float)(step % 1000003)) {
            FAIL("element %d of step %llu is %g", i, (unsigned long long)step, (double)w[i]);
            break;
        }
    CHECK(wg_optimizer_steps(r->optimizer) == step);
    return step;
}

/* Saves until it is killed; writes the number of each save that has finished to the pipe. */
static void save_for_ever(run *r, uint64_t step, int out)
{
    for (;;) {
        wg_error error = {0};
        set_step(r, ++step);
        if (wg_checkpoint_save(path, &r->checkpoint, &error) != WG_OK) _exit(3);
        if (write(out, &step, sizeof step) != sizeof step) _exit(4);
    }
}

static void kill_one(uint64_t seed)
{
    run r;
    int ends[2], status;
    uint64_t finished = 0, next;
    random_state = seed;
    begin(&r);
    const uint64_t before = load(&r);
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) save_for_ever(&r, before, ends[1]);
    close(ends[1]);
    usleep((useconds_t)below(12000));
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status));
    while (read(ends[0], &next, sizeof next) == (ssize_t)sizeof next) finished = next;
    close(ends[0]);
    const uint64_t after = load(&r);
    if (finished == 0) finished = before;
    if (after != finished && after != finished + 1)
        FAIL("step %llu was saved, %llu is there", (unsigned long long)finished, (unsigned long long)after);
    end(&r);
}

static void killed_saves(void)
{
    snprintf(folder, sizeof folder, "/tmp/wengert-kill-%ld", (long)getpid());
    snprintf(path, sizeof path, "%s/checkpoint.safetensors", folder);
    char clean[160];
    snprintf(clean, sizeof clean, "rm -rf %s && mkdir %s", folder, folder);
    assert_int_equal(system(clean), 0);
    check_rounds(check_long() ? 1000 : 60, kill_one);
    run r;
    wg_error error = {0};
    begin(&r);
    set_step(&r, 7);
    CHECK(wg_checkpoint_save(path, &r.checkpoint, &error) == WG_OK && load(&r) == 7);
    end(&r);
    snprintf(clean, sizeof clean, "rm -rf %s", folder);
    CHECK(system(clean) == 0);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(killed_saves)};
    return RUN_TESTS(tests);
}
