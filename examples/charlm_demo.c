/* charlm demo: the first minute with Wengert. What it says before and after the training. */
#include "charlm.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH = 4096 };

/* The folder of the program, with a slash at its end: relative to the folder that the user is in, if it is inside. */
static const char *program_folder(char path[PATH])
{
    char here[PATH];
    ssize_t n = readlink("/proc/self/exe", path, PATH - 1);
    while (n > 0 && path[n - 1] != '/') n--;
    path[n > 0 ? n : 0] = 0;
    const size_t length = getcwd(here, sizeof here) ? strlen(here) : 0;
    if (length > 1 && strncmp(path, here, length) == 0 && path[length] == '/')
        memmove(path, path + length + 1, strlen(path + length));
    return path;
}

settings demo_settings(void)
{
    static char path[PATH + 32];
    settings s = settings_defaults();
    s.seconds = 55; /* with samples and validation about a minute */
    s.sample_seconds = 6;
    s.lr = 6e-3; /* words after 500 steps; with dropout 2000 do not overfit */
    s.dropout = 0.25;
    s.steps = 100000;
    program_folder(path);
    strcat(path, "demo.safetensors");
    s.out = path;
    return s;
}

void demo_begin(const run *r)
{
    printf("A character %s learns to write. This recurrent neural network,\n"
           "%lld x %lld units, reads a text character by character, keeps in its state what matters, and\n"
           "says how probable each next character is. At first it knows nothing, not even that there\n"
           "are words. Training changes its %lld parameters, step by step, so that the right character\n"
           "becomes more probable.\n",
           strcmp(r->s.cell, "lstm") == 0 ? "LSTM (long short-term memory)" : r->s.cell, (long long)r->s.layers,
           (long long)r->s.hidden, (long long)wg_params_trainable(r->m.params));
    printf("The text: %s%zu characters, %d distinct.\n\n",
           r->s.data.n ? "" : "thirty chapters of Jane Austen's Pride and Prejudice, ", r->text.size, r->v.size);
    printf("Now and then it writes a sample of its own, and these numbers say how well it does:\n"
           "  loss                how much the next character surprises it, in nats: %.2f is a blind guess\n"
           "  validation loss     the same, on a tenth of the text that it does not learn from\n"
           "  bits per character  the validation loss in bits: a compressed text would be as long\n"
           "Ctrl-C ends the training and saves the model.\n\n",
           log(r->v.size));
    fflush(stdout);
}

void demo_end(const run *r)
{
    char path[PATH];
    const char *folder = program_folder(path);
    printf("\nWhat to try next:\n"
           "  more text      %scharlm sample --model %s%s\n"
           "  your own text  %scharlm demo --data FILE\n"
           "  a Transformer  %sgpt\n",
           folder, r->s.out, r->s.data.n ? "" : " --prime \"She \"", folder, folder);
}
