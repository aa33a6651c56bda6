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
    s.steps = 100000;
    strcat((char *)program_folder(path), "demo.safetensors");
    s.out = path;
    return s;
}

void demo_begin(const run *r)
{
    printf("A recurrent neural network (%s, %lld x %lld) learns to write, character by character, from\n",
           r->s.cell, (long long)r->s.layers, (long long)r->s.hidden);
    if (r->s.data.n == 0) fputs("the first thirty chapters of Jane Austen's Pride and Prejudice: ", stdout);
    printf("%zu characters, %d distinct ones.\n"
           "It reads the text, keeps what it has seen in its state, and says how probable each next\n"
           "character is. At first it knows nothing, not even that there are words. Training changes its\n"
           "%lld parameters, step by step, so that the right character becomes more probable.\n\n",
           r->text.size, r->v.size, (long long)wg_params_trainable(r->m.params));
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
