/* Replacing files: links, owners, folders, temporary files of processes that were killed. */
#include "test_io.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_write_places(void)
{
    wg_error error = {0};
    char linked[256];
    empty_folder();
    assert_int_equal(wg_file_write("/dev/full", "x", 1, &error), WG_ERR_IO);
    ASSERT_HAS(error.text, "not a regular file");
    error = (wg_error){0};
    assert_int_equal(wg_file_write(folder, "x", 1, &error), WG_ERR_IO);
    ASSERT_HAS(error.text, "is a directory");
    error = (wg_error){0};
    assert_int_equal(wg_file_write(in_folder("no/file"), "x", 1, &error), WG_ERR_IO);
    ASSERT_HAS(error.text, "No such file");
    assert_int_equal(wg_file_write("", "x", 1, NULL), WG_ERR_ARGUMENT);

    put_file(in_folder("real"), "old", 3);
    strcpy(linked, in_folder("link"));
    assert_int_equal(symlink(in_folder("real"), linked), 0);
    assert_int_equal(wg_file_write(linked, "new text", 8, &error), WG_OK);
    struct stat info;
    assert_int_equal(lstat(linked, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    size_t size;
    char *bytes = get_file(in_folder("real"), &size);
    assert_string_equal(bytes, "new text");
    free(bytes);
    assert_int_equal(chmod(linked, 0600), 0); /* permissions are kept */
    assert_int_equal(wg_file_write(linked, "private", 7, &error), WG_OK);
    assert_int_equal(stat(linked, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(count_files(), 2);
}

/* Links are followed, also to a target that is not there yet, relative ones from their own folder. */
static void case_dangling_link(void)
{
    static const struct {
        const char *link, *content, *target; /* content NULL: the target's whole path */
    } rows[] = {{"a", NULL, "new"},          {"b", "new", "new"},        {"c", "./new", "new"},
                {"d", "sub/new", "sub/new"}, {"sub/e", "../new", "new"}, {"f", "g", "new"},
                {"h", "sub", "dir"},         {"i", "i", NULL},           {"j", "none/new", NULL}};
    empty_folder();
    assert_int_equal(mkdir(in_folder("sub"), 0700), 0);
    assert_int_equal(symlink("new", in_folder("g")), 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char link[256], target[256];
        struct stat info;
        strcpy(link, in_folder(rows[i].link));
        strcpy(target, in_folder(rows[i].target ? rows[i].target : "new"));
        assert_int_equal(symlink(rows[i].content ? rows[i].content : target, link), 0);
        const bool ok = rows[i].target && strcmp(rows[i].target, "dir") != 0;
        for (int again = 0; again < 2; again++) {
            assert_int_equal(wg_file_write(link, "text", 4, NULL), ok ? WG_OK : WG_ERR_IO);
            assert_int_equal(lstat(link, &info), 0);
            assert_true(S_ISLNK(info.st_mode));
            if (ok) assert_true(lstat(target, &info) == 0 && S_ISREG(info.st_mode) && info.st_size == 4);
        }
        unlink(link);
        unlink(target);
    }
    unlink(in_folder("g"));
    assert_int_equal(rmdir(in_folder("sub")), 0);
    assert_int_equal(count_files(), 0);
}

/* Owner, group and permissions are kept; without the right to give the file away, its group gets no more than all. */
static void case_owner(void)
{
    struct stat info;
    const char *path = in_folder("m");
    empty_folder();
    put_file(path, "old", 3);
    assert_int_equal(chmod(path, 0640), 0);
    const bool root = geteuid() == 0;
    if (root) assert_int_equal(chown(path, 1234, 5678), 0);
    assert_int_equal(wg_file_write(path, "new", 3, NULL), WG_OK);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0640);
    if (!root) return;
    assert_true(info.st_uid == 1234 && info.st_gid == 5678);
    assert_int_equal(chmod(folder, 0777), 0);
    pid_t child = fork();
    if (child == 0) _exit(setgid(4321) || setuid(4321) || wg_file_write(path, "ours", 4, NULL) != WG_OK);
    int ended;
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_int_equal(ended, 0);
    assert_int_equal(stat(path, &info), 0);
    assert_true(info.st_uid == 4321 && info.st_gid == 4321);
    assert_int_equal(info.st_mode & 07777, 0600);
    assert_int_equal(chmod(folder, 0700), 0);
}

/* A folder that may be written but not read. */
static void case_unreadable_folder(void)
{
    empty_folder();
    pid_t child = fork();
    if (child == 0) {
        if (geteuid() == 0 && (chown(folder, 4321, 4321) || setgid(4321) || setuid(4321))) _exit(2);
        if (chmod(folder, 0300)) _exit(3);
        _exit(wg_file_write(in_folder("m"), "text", 4, NULL) != WG_OK);
    }
    int ended;
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_int_equal(ended, 0);
    assert_int_equal(chmod(folder, 0700), 0);
    assert_int_equal(count_files(), 1);
}

/* ---- temporary files ---- */

static void put_empty(const char *name) { put_file(in_folder(name), "", 0); }

/* A save removes what killed saves of the same file have left, and nothing else. */
static void case_leftovers(void)
{
    char name[64];
    empty_folder();
    for (int i = 0; i < 1000; i++) { /* names of earlier versions: by the process id */
        snprintf(name, sizeof name, "m.tmp-%ld-%d", (long)getpid(), i);
        put_empty(name);
    }
    assert_int_equal(wg_file_write(in_folder("m"), "x", 1, NULL), WG_OK);
    assert_int_equal(count_files(), 1001);

    empty_folder();
    static const char *const left[] = {"m.tmp-0123456789abcdef", "m.tmp-ffffffffffffffff"},
                             *const others[] = {"n.tmp-0123456789abcdef", "m.tmp-0123456789abcde",
                                                "m.tmp-backup",           "m.tmp-0123456789abcdef0",
                                                "m.tmp-0123456789abcdeX", "xm.tmp-0123456789abcdef",
                                                "m.tmp-0000000000000000"};
    for (int i = 0; i < 2; i++) put_empty(left[i]);
    for (int i = 0; i < 7; i++) put_empty(others[i]);
    int live = open(in_folder(others[6]), O_RDONLY); /* its writer lives */
    assert_int_equal(flock(live, LOCK_EX), 0);
    assert_int_equal(wg_file_write(in_folder("m"), "x", 1, NULL), WG_OK);
    for (int i = 0; i < 2; i++) assert_int_equal(access(in_folder(left[i]), F_OK), -1);
    for (int i = 0; i < 7; i++) assert_int_equal(access(in_folder(others[i]), F_OK), 0);
    close(live);

    char longest[256] = {0}; /* the longest name that a file can have */
    memset(longest, 'n', 255);
    empty_folder();
    assert_int_equal(wg_file_write(in_folder(longest), "x", 1, NULL), WG_OK);
    assert_int_equal(wg_file_write(in_folder(longest), "y", 1, NULL), WG_OK);
    assert_int_equal(count_files(), 1);
    empty_folder();
}

/* Killed at every system call of a save: the next save leaves one file. Two that save at once do not disturb. */
static void test_killed_saves(void)
{
    empty_folder();
    for (long k = 1, ended = 0, left = 0; ended == 0 || left > 0; k++) {
        pid_t child = fork();
        if (child == 0) {
            fault_begin(k, 0, true);
            _exit(wg_file_write(in_folder("m"), "text", 4, NULL) != WG_OK);
        }
        int code;
        assert_int_equal(waitpid(child, &code, 0), child);
        ended = WEXITSTATUS(code) != 77;
        left = count_files() - 1;
        assert_true(left <= 1);
    }
    pid_t children[4];
    for (int i = 0; i < 4; i++) {
        children[i] = fork();
        for (int n = 0; children[i] == 0; n++) {
            if (wg_file_write(in_folder("m"), "text", 4, NULL) != WG_OK) _exit(1);
            if (n == 100) _exit(0);
        }
    }
    for (int i = 0, code; i < 4; i++) {
        assert_int_equal(waitpid(children[i], &code, 0), children[i]);
        assert_int_equal(code, 0);
    }
    assert_int_equal(count_files(), 1);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(test_write_places), TEST_CASE(case_dangling_link),
                                 TEST_CASE(case_owner),        TEST_CASE(case_unreadable_folder),
                                 TEST_CASE(case_leftovers),    TEST_CASE(test_killed_saves)};
    make_folder();
    int failed = RUN_TESTS(tests);
    remove_folder();
    return failed;
}
