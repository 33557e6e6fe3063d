// The first program of a job's container, after the engine's init: turns transparent huge pages off for itself and all that it
// starts, and becomes the job's program.
//
// With huge pages one page fault may bring 2 MiB instead of 4 KiB, depending on how fragmented the memory of a machine is: the
// number of a run's faults would say nothing of its work. Engines have no switch for it.
//
// Asked for it, it first makes the job's program process 32 of the container, with process 31 as its parent: how many processes
// the engine started before differs, and a seeded job may print its id or take randomness from it. Ids are given in order, so
// processes that end at once use up those before. Then this one and process 31 wait for the program, and end as it does.
//
// A program without libc, so that it runs in every image. It finds the program as the engine's init does, by the rules of
// execvp(3) in glibc, and fails with its exit codes: 127 where there is none, 126 where it may not be run, else 1.

#include <stddef.h>

enum { ENOENT = 2, ENOEXEC = 8, EACCES = 13, ENODEV = 19, ENOTDIR = 20, ENAMETOOLONG = 36, ETIMEDOUT = 110, ESTALE = 116 };
enum { EINTR = 4, PR_SET_THP_DISABLE = 41, SIGCHLD = 17, LONGEST_PATH = 4096 };
enum { PARENT_ID = 31, PROGRAM_ID = 32 };

#define SHELL "/bin/sh"
#define USUAL_PATH "/bin:/usr/bin"

#if defined(__x86_64__)
enum { SYS_WRITE = 1, SYS_GETPID = 39, SYS_CLONE = 56, SYS_EXECVE = 59, SYS_EXIT = 60, SYS_WAIT4 = 61, SYS_PRCTL = 157 };
static long call(long number, long a, long b, long c, long d, long e) {
    long result;
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
}
__asm__(".globl _start\n_start:\n xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call start\n");
#elif defined(__aarch64__)
enum { SYS_WRITE = 64, SYS_GETPID = 172, SYS_CLONE = 220, SYS_EXECVE = 221, SYS_EXIT = 93, SYS_WAIT4 = 260, SYS_PRCTL = 167 };
static long call(long number, long a, long b, long c, long d, long e) {
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c,
                  x3 __asm__("x3") = d, x4 __asm__("x4") = e;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
}
__asm__(".globl _start\n_start:\n mov x29, #0\n mov x0, sp\n bl start\n");
#endif

static size_t length(const char *text) {
    size_t size = 0;
    // The compiler must not make a call to strlen of it.
    while (text[size] != 0) {
        __asm__ volatile("");
        size++;
    }
    return size;
}

static int holds_slash(const char *text) {
    for (; *text != 0; text++) {
        if (*text == '/') return 1;
    }
    return 0;
}

static void say(const char *text) { call(SYS_WRITE, 2, (long)text, (long)length(text), 0, 0); }

// Returns only if it fails, with the error. A file of no known form is a script of the shell's.
static int run(const char *path, long count, char **arguments, char **environment) {
    int error = (int)-call(SYS_EXECVE, (long)path, (long)arguments, (long)environment, 0, 0);
    if (error != ENOEXEC) return error;
    const char *script[count + 2];
    script[0] = SHELL;
    script[1] = path;
    for (long i = 1; i <= count; i++) {
        __asm__ volatile("");
        script[i + 1] = arguments[i];
    }
    return (int)-call(SYS_EXECVE, (long)SHELL, (long)script, (long)environment, 0, 0);
}

static const char *search_path(char **environment) {
    for (; *environment != NULL; environment++) {
        const char *entry = *environment;
        if (entry[0] == 'P' && entry[1] == 'A' && entry[2] == 'T' && entry[3] == 'H' && entry[4] == '=') return entry + 5;
    }
    return USUAL_PATH;
}

// As `run`, of the first such program in the directories of PATH.
static int find_and_run(const char *name, long count, char **arguments, char **environment) {
    if (*name == 0) return ENOENT;
    if (holds_slash(name)) return run(name, count, arguments, environment);
    int error = ENOENT, is_denied = 0;
    size_t size = length(name);
    for (const char *dir = search_path(environment);; dir++) {
        size_t end = 0;
        while (dir[end] != 0 && dir[end] != ':') end++;
        char path[LONGEST_PATH];
        if (end + 1 + size + 1 > sizeof path) {
            error = ENAMETOOLONG;
        } else {
            char *to = path;
            for (size_t i = 0; i < end; i++) {
                __asm__ volatile("");
                *to++ = dir[i];
            }
            // An empty entry is the working directory.
            if (end != 0) *to++ = '/';
            for (size_t i = 0; i <= size; i++) {
                __asm__ volatile("");
                *to++ = name[i];
            }
            error = run(path, count, arguments, environment);
            if (error == EACCES) {
                is_denied = 1;
            } else if (error != ENOENT && error != ESTALE && error != ENOTDIR && error != ENODEV && error != ETIMEDOUT) {
                return error;
            }
        }
        dir += end;
        if (*dir == 0) return is_denied ? EACCES : error;
    }
}

__attribute__((noreturn)) static void leave(int code) {
    for (;;) call(SYS_EXIT, code, 0, 0, 0, 0);
}

// The exit code of a child once it has ended: that of a shell, where a signal ended it.
static int end_of(long child) {
    int status = 0;
    while (call(SYS_WAIT4, child, (long)&status, 0, 0, 0) == -EINTR) continue;
    return (status & 127) == 0 ? status >> 8 & 255 : 128 + (status & 127);
}

// Goes on as the process with this id, or with a later one if it is taken; where no process can be had, as this one.
static void become(long id) {
    for (;;) {
        long child = call(SYS_CLONE, SIGCHLD, 0, 0, 0, 0);
        if (child < 0) return;
        if (child > 0) {
            int code = end_of(child);
            if (child >= id) leave(code);
        } else {
            if (call(SYS_GETPID, 0, 0, 0, 0, 0) >= id) return;
            leave(0);
        }
    }
}

// Its arguments: `any-id` or `fixed-id`, then the program and its own.
__attribute__((noreturn, used)) static void start(long *stack) {
    long count = stack[0] < 2 ? 0 : stack[0] - 2;
    char **arguments = (char **)(stack + 1 + stack[0] - count);
    char **environment = (char **)(stack + 2 + stack[0]);
    int is_fixed = stack[0] > 1 && ((char **)(stack + 2))[0][0] == 'f';
    // A kernel without huge pages has no switch for them either.
    call(SYS_PRCTL, PR_SET_THP_DISABLE, 1, 0, 0, 0);
    if (is_fixed) {
        become(PARENT_ID);
        become(PROGRAM_ID);
    }
    int error = count < 1 ? ENOENT : find_and_run(arguments[0], count, arguments, environment);
    if (count >= 1) {
        say("assay: cannot run ");
        say(arguments[0]);
        say(error == ENOENT ? ": no such file\n" : error == EACCES ? ": permission denied\n" : ": not a program of this machine\n");
    }
    leave(error == ENOENT ? 127 : error == EACCES ? 126 : 1);
}
