// Gives a program the randomness and the wall time of its job: the same on every node. Loaded with LD_PRELOAD into the
// containers of jobs that were submitted with --seeded.
//
// It needs no libc to be built and asks for no symbol version, so that one file serves glibc and musl.
//
// The state of a process is a key and a clock. A process hands both on to each of its children, through the variable
// ASSAY_STREAM: the key of the n-th child follows from the key of its parent and n. So the streams depend on the order in
// which a process starts others, and not on how they run. `docs/containers.md` says what is covered.

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "lookup.h"

typedef long ssize;
struct timespan { long seconds, rest; };  // timespec and timeval alike

#define SHOWN __attribute__((visibility("default")))

// ------------------------------------------------------------------------------------------------ system calls

#if defined(__x86_64__)
enum { SYS_WRITE = 1, SYS_LSEEK = 8, SYS_GETRANDOM = 318, SYS_MEMFD_CREATE = 319 };
static long call(long number, long a, long b, long c, long d, long e, long f) {
    long result;
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
enum { SYS_WRITE = 64, SYS_LSEEK = 62, SYS_GETRANDOM = 278, SYS_MEMFD_CREATE = 279 };
static long call(long number, long a, long b, long c, long d, long e, long f) {
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c,
                  x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}
#endif

extern int *__errno_location(void);
extern char **environ;

static long checked(long result) {
    if (result >= 0 || result < -4095) return result;
    *__errno_location() = (int)-result;
    return -1;
}

// ------------------------------------------------------------------------------------------------ the real functions

#define REAL_FUNCTIONS(X)                                                                                              \
    X(int, open, (const char *, int, ...))                                                                             \
    X(int, openat, (int, const char *, int, ...))                                                                      \
    X(void *, fopen, (const char *, const char *))                                                                     \
    X(void *, fdopen, (int, const char *))                                                                             \
    X(int, clock_gettime, (int, struct timespan *))                                                                    \
    X(int, nanosleep, (const struct timespan *, struct timespan *))                                                    \
    X(int, clock_nanosleep, (int, int, const struct timespan *, struct timespan *))                                    \
    X(int, poll, (void *, unsigned long, int))                                                                         \
    X(int, select, (int, void *, void *, void *, struct timespan *))                                                   \
    X(int, epoll_wait, (int, void *, int, int))                                                                        \
    X(int, pthread_cond_timedwait, (void *, void *, const struct timespan *))                                          \
    X(int, pthread_mutex_timedlock, (void *, const struct timespan *))                                                 \
    X(int, sem_timedwait, (void *, const struct timespan *))                                                           \
    X(int, execve, (const char *, char *const *, char *const *))                                                       \
    X(int, execvp, (const char *, char *const *))                                                                      \
    X(int, execvpe, (const char *, char *const *, char *const *))                                                      \
    X(int, posix_spawn, (int *, const char *, const void *, const void *, char *const *, char *const *))               \
    X(int, posix_spawnp, (int *, const char *, const void *, const void *, char *const *, char *const *))              \
    X(int, system, (const char *))                                                                                     \
    X(void *, popen, (const char *, const char *))

static struct {
#define FIELD(result, name, arguments) result(*name) arguments;
    REAL_FUNCTIONS(FIELD)
} real;

// ------------------------------------------------------------------------------------------------ key and clock

#define STREAM "ASSAY_STREAM="
enum { NAME = sizeof STREAM - 1, KEY_DIGITS = 64, CLOCK_DIGITS = 16, LENGTH = NAME + KEY_DIGITS + 1 + CLOCK_DIGITS };
enum { RANDOM = 0, CHILD = 1 };                     // what a block is for
enum { SECOND = 1000000, DEFAULT_START = 1640995200 };  // microseconds; 2022-01-01T00:00:00Z

static uint32_t key[8];
static uint64_t blocks;    // of randomness given out
static uint64_t children;  // begun by this process
static uint64_t clock_us;  // since `start`
static long start;
static int is_ready;

static uint32_t rotated(uint32_t x, int bits) { return x << bits | x >> (32 - bits); }

// ChaCha with 8 rounds: 64 bytes of the block `number` under `key`.
static void chacha8(uint32_t out[16], uint64_t number, uint64_t purpose) {
    uint32_t in[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
    for (int i = 0; i < 8; i++) in[4 + i] = key[i];
    in[12] = (uint32_t)number, in[13] = (uint32_t)(number >> 32), in[14] = (uint32_t)purpose, in[15] = 0;
    for (int i = 0; i < 16; i++) out[i] = in[i];
#define QUARTER(a, b, c, d)                                                                                            \
    out[a] += out[b], out[d] = rotated(out[d] ^ out[a], 16), out[c] += out[d], out[b] = rotated(out[b] ^ out[c], 12),  \
    out[a] += out[b], out[d] = rotated(out[d] ^ out[a], 8), out[c] += out[d], out[b] = rotated(out[b] ^ out[c], 7)
    for (int round = 0; round < 4; round++) {
        QUARTER(0, 4, 8, 12), QUARTER(1, 5, 9, 13), QUARTER(2, 6, 10, 14), QUARTER(3, 7, 11, 15);
        QUARTER(0, 5, 10, 15), QUARTER(1, 6, 11, 12), QUARTER(2, 7, 8, 13), QUARTER(3, 4, 9, 14);
    }
    for (int i = 0; i < 16; i++) out[i] += in[i];
}

static const char *variable(char *const *all, const char *name, int length) {
    for (; all && *all; all++) {
        int i = 0;
        while (i < length && (*all)[i] == name[i]) i++;
        if (i == length) return *all;
    }
    return 0;
}

static uint64_t hex(const char *digits, int count) {
    uint64_t value = 0;
    for (; count && *digits; count--, digits++)
        value = value << 4 | (unsigned)(*digits <= '9' ? *digits - '0' : *digits - 'a' + 10);
    return value;
}

static void put_hex(char *out, uint64_t value, int count) {
    for (int i = count; i--; value >>= 4) out[i] = "0123456789abcdef"[value & 15];
}

// What the newest child of this process is given.
static void describe_child(char out[LENGTH + 1]) {
    uint32_t block[16];
    chacha8(block, children, CHILD);
    for (int i = 0; i < NAME; i++) out[i] = STREAM[i];
    for (int i = 0; i < 8; i++) put_hex(out + NAME + 8 * i, block[i], 8);
    out[NAME + KEY_DIGITS] = ':';
    put_hex(out + NAME + KEY_DIGITS + 1, clock_us, CLOCK_DIGITS);
    out[LENGTH] = 0;
}

// Writes it over the variable where it stands: programs that copy nothing pass that on.
static void publish(void) {
    char *ours = (char *)variable(environ, STREAM, NAME);
    if (!ours) return;
    for (int i = 0; i < LENGTH; i++)
        if (!ours[i]) return;
    char text[LENGTH + 1];
    describe_child(text);
    for (int i = 0; i < LENGTH; i++) ours[i] = text[i];
}

// A new child. It takes a second of the clock, so that a script that waits for a time in a loop gets there.
static void begin_child(void) {
    __atomic_add_fetch(&children, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&clock_us, SECOND, __ATOMIC_RELAXED);
    publish();
}

static void in_child(void) {
    uint32_t block[16];
    chacha8(block, children, CHILD);
    for (int i = 0; i < 8; i++) key[i] = block[i];
    blocks = children = 0;
    publish();
}

extern int __register_atfork(void (*)(void), void (*)(void), void (*)(void), void *) __attribute__((weak));
extern int pthread_atfork(void (*)(void), void (*)(void), void (*)(void)) __attribute__((weak));

__attribute__((constructor)) static void prepare(void) {
    if (is_ready) return;
    is_ready = 1;
#define FIND(result, name, arguments) real.name = (result(*) arguments)find_real(#name);
    REAL_FUNCTIONS(FIND)
    const char *stream = variable(environ, STREAM, NAME), *epoch = variable(environ, "SOURCE_DATE_EPOCH=", 18);
    for (int i = 0; stream && i < 8; i++) key[i] = (uint32_t)hex(stream + NAME + 8 * i, 8);
    if (stream) clock_us = hex(stream + NAME + KEY_DIGITS + 1, CLOCK_DIGITS);
    start = epoch ? 0 : DEFAULT_START;
    for (epoch = epoch ? epoch + 18 : ""; *epoch >= '0' && *epoch <= '9' && start < 1L << 40; epoch++)
        start = start * 10 + (*epoch - '0');
    publish();
    if (__register_atfork)
        __register_atfork(begin_child, 0, in_child, 0);
    else if (pthread_atfork)
        pthread_atfork(begin_child, 0, in_child);
}

// Libraries that are prepared before this one may ask already.
static void ready(void) {
    if (!is_ready) prepare();
}

// ------------------------------------------------------------------------------------------------ randomness

static void fill(void *buffer, size_t length) {
    ready();
    unsigned char *out = buffer;
    uint64_t number = __atomic_fetch_add(&blocks, (length + 63) / 64, __ATOMIC_RELAXED);
    for (; length; number++) {
        uint32_t block[16];
        chacha8(block, number, RANDOM);
        for (int i = 0; i < 64 && length; i++, length--) *out++ = (unsigned char)(block[i / 4] >> 8 * (i % 4));
    }
}

SHOWN ssize getrandom(void *buffer, size_t length, unsigned flags) {
    (void)flags;
    fill(buffer, length);
    return (ssize)length;
}

SHOWN int getentropy(void *buffer, size_t length) {
    if (length > 256) return (int)checked(-5);
    fill(buffer, length);
    return 0;
}

SHOWN void arc4random_buf(void *buffer, size_t length) { fill(buffer, length); }

SHOWN uint32_t arc4random(void) {
    uint32_t value;
    fill(&value, sizeof value);
    return value;
}

SHOWN uint32_t arc4random_uniform(uint32_t bound) {
    if (bound < 2) return 0;
    for (uint32_t least = -bound % bound;;) {
        uint32_t value = arc4random();
        if (value >= least) return value % bound;
    }
}

// std::random_device of libstdc++, which asks the processor.
SHOWN unsigned random_device(void *self) __asm__("_ZNSt13random_device9_M_getvalEv");
SHOWN unsigned random_device(void *self) {
    (void)self;
    return arc4random();
}

SHOWN long syscall(long number, ...) {
    va_list rest;
    va_start(rest, number);
    long a = va_arg(rest, long), b = va_arg(rest, long), c = va_arg(rest, long), d = va_arg(rest, long),
         e = va_arg(rest, long), f = va_arg(rest, long);
    va_end(rest);
    if (number == SYS_GETRANDOM) return getrandom((void *)a, (size_t)b, (unsigned)c);
    return checked(call(number, a, b, c, d, e, f));
}

// ------------------------------------------------------------------------------------------------ devices

enum { DEVICE_BYTES = 1 << 20, WRITE_ONLY = 1, CLOSE_ON_EXEC = 02000000 };

static int is_device(const char *path) { return path && (same(path, "/dev/urandom") || same(path, "/dev/random")); }

// A file of random bytes: it is inherited, duplicated and read as the device is, and ends after DEVICE_BYTES.
static int open_stream(int flags) {
    long file = call(SYS_MEMFD_CREATE, (long)"assay-random", flags & CLOSE_ON_EXEC ? 1 : 0, 0, 0, 0, 0);
    if (file < 0) return (int)checked(file);
    char bytes[4096];
    for (int i = 0; i < DEVICE_BYTES / (int)sizeof bytes; i++) {
        fill(bytes, sizeof bytes);
        call(SYS_WRITE, file, (long)bytes, sizeof bytes, 0, 0, 0);
    }
    call(SYS_LSEEK, file, 0, 0, 0, 0, 0);
    return (int)file;
}

static int opened(int dir, const char *path, int flags, unsigned mode, int is_at) {
    ready();
    if (is_device(path) && !(flags & WRITE_ONLY)) return open_stream(flags);
    return is_at ? real.openat(dir, path, flags, mode) : real.open(path, flags, mode);
}

#define MODE                                                                                                           \
    va_list rest;                                                                                                      \
    va_start(rest, flags);                                                                                             \
    unsigned mode = va_arg(rest, unsigned);                                                                            \
    va_end(rest)

SHOWN int open(const char *path, int flags, ...) { MODE; return opened(0, path, flags, mode, 0); }
SHOWN int open64(const char *path, int flags, ...) { MODE; return opened(0, path, flags, mode, 0); }
SHOWN int openat(int dir, const char *path, int flags, ...) { MODE; return opened(dir, path, flags, mode, 1); }
SHOWN int openat64(int dir, const char *path, int flags, ...) { MODE; return opened(dir, path, flags, mode, 1); }
SHOWN int __open_2(const char *path, int flags) { return opened(0, path, flags, 0, 0); }
SHOWN int __open64_2(const char *path, int flags) { return opened(0, path, flags, 0, 0); }
SHOWN int __openat_2(int dir, const char *path, int flags) { return opened(dir, path, flags, 0, 1); }
SHOWN int __openat64_2(int dir, const char *path, int flags) { return opened(dir, path, flags, 0, 1); }

SHOWN void *fopen(const char *path, const char *mode) {
    ready();
    if (!is_device(path) || *mode != 'r') return real.fopen(path, mode);
    int file = open_stream(0);
    return file < 0 ? 0 : real.fdopen(file, mode);
}
SHOWN void *fopen64(const char *path, const char *mode) { return fopen(path, mode); }

// ------------------------------------------------------------------------------------------------ wall time

enum { REALTIME = 0, MONOTONIC = 1, REALTIME_COARSE = 5, TAI = 11, ABSOLUTE = 1, TIMED_OUT = 110 };

// A microsecond for each look: time passes for a program that waits for it, and the same on every node.
static struct timespan look(void) {
    ready();
    uint64_t now = __atomic_add_fetch(&clock_us, 1, __ATOMIC_RELAXED);
    return (struct timespan){start + (long)(now / SECOND), (long)(now % SECOND)};
}

static void pass(long microseconds) {
    if (microseconds > 0) __atomic_add_fetch(&clock_us, (uint64_t)microseconds, __ATOMIC_RELAXED);
}

static long microseconds(const struct timespan *span) { return span->seconds * SECOND + span->rest / 1000; }

SHOWN int clock_gettime(int clock, struct timespan *out) {
    ready();
    if (clock != REALTIME && clock != REALTIME_COARSE && clock != TAI) return real.clock_gettime(clock, out);
    *out = look();
    out->rest *= 1000;
    return 0;
}

SHOWN int gettimeofday(struct timespan *out, void *zone) {
    (void)zone;
    if (out) *out = look();
    return 0;
}

SHOWN long time(long *out) {
    long now = look().seconds;
    if (out) *out = now;
    return now;
}

SHOWN int timespec_get(struct timespan *out, int base) {
    if (base != 1) return 0;
    clock_gettime(REALTIME, out);
    return base;
}

// How long it is until `until` by this clock, in microseconds.
static long until(const struct timespan *time) {
    struct timespan now = look();
    return microseconds(time) - now.seconds * SECOND - now.rest;
}

SHOWN int nanosleep(const struct timespan *span, struct timespan *rest) {
    ready();
    int result = real.nanosleep(span, rest);
    if (!result) pass(microseconds(span));
    return result;
}

SHOWN unsigned sleep(unsigned seconds) {
    struct timespan span = {seconds, 0}, rest = {0, 0};
    return nanosleep(&span, &rest) ? (unsigned)rest.seconds : 0;
}

SHOWN int usleep(unsigned span) {
    struct timespan wanted = {span / SECOND, span % SECOND * 1000L};
    return nanosleep(&wanted, 0);
}

SHOWN int clock_nanosleep(int clock, int flags, const struct timespan *time, struct timespan *rest) {
    ready();
    long wait = microseconds(time);
    struct timespan span = *time;
    if (clock == REALTIME && flags & ABSOLUTE) {
        wait = until(time);
        if (wait <= 0) return 0;
        span = (struct timespan){wait / SECOND, wait % SECOND * 1000};
        clock = MONOTONIC, flags = 0;
    }
    int result = real.clock_nanosleep(clock, flags, &span, rest);
    if (!result && !(flags & ABSOLUTE)) pass(wait);
    return result;
}

SHOWN int poll(void *files, unsigned long count, int timeout) {
    ready();
    int result = real.poll(files, count, timeout);
    if (!result) pass(timeout * 1000L);
    return result;
}

SHOWN int select(int count, void *read, void *write, void *other, struct timespan *timeout) {
    ready();
    long wait = timeout ? timeout->seconds * SECOND + timeout->rest : 0;
    int result = real.select(count, read, write, other, timeout);
    if (!result) pass(wait);
    return result;
}

SHOWN int epoll_wait(int file, void *events, int most, int timeout) {
    ready();
    int result = real.epoll_wait(file, events, most, timeout);
    if (!result) pass(timeout * 1000L);
    return result;
}

// A deadline of this clock as one of the kernel's.
static struct timespan kernel_time(const struct timespan *time) {
    struct timespan now;
    real.clock_gettime(REALTIME, &now);
    long wait = until(time), at = microseconds(&now) + (wait > 0 ? wait : 0);
    return (struct timespan){at / SECOND, at % SECOND * 1000};
}

// An uptime is far below any wall time: the program uses the monotonic clock then.
static int is_wall_time(const struct timespan *time) { return time && time->seconds > start / 2; }

static int waited(int result, const struct timespan *time) {
    if (result == TIMED_OUT || (result == -1 && *__errno_location() == TIMED_OUT)) pass(until(time));
    return result;
}

#define WAITING(name, parameters, ...)                                                                                 \
    SHOWN int name parameters {                                                                                        \
        ready();                                                                                                       \
        struct timespan kernels;                                                                                       \
        const struct timespan *at = time;                                                                              \
        if (is_wall_time(time)) kernels = kernel_time(time), at = &kernels;                                            \
        int result = real.name(__VA_ARGS__, at);                                                                       \
        return at == time ? result : waited(result, time);                                                             \
    }
WAITING(pthread_cond_timedwait, (void *condition, void *mutex, const struct timespan *time), condition, mutex)
WAITING(pthread_mutex_timedlock, (void *mutex, const struct timespan *time), mutex)
WAITING(sem_timedwait, (void *semaphore, const struct timespan *time), semaphore)

// ------------------------------------------------------------------------------------------------ children

// Calls with an environment of the program's own, in which our variable is that of the new child. Nothing is allocated:
// the caller may share its memory with its parent.
#define WITH_STREAM(environment, patched)                                                                              \
    ready();                                                                                                           \
    begin_child();                                                                                                     \
    size_t count = 0;                                                                                                  \
    while ((environment) && (environment)[count]) count++;                                                             \
    char text[LENGTH + 1], *patched[count + 1];                                                                        \
    describe_child(text);                                                                                              \
    for (size_t i = 0; i <= count; i++) {                                                                              \
        char *one[2] = {i < count ? (environment)[i] : 0, 0};                                                          \
        patched[i] = variable(one, STREAM, NAME) ? text : one[0];                                                      \
    }

SHOWN int execve(const char *path, char *const *arguments, char *const *environment) {
    WITH_STREAM(environment, patched)
    int result = real.execve(path, arguments, patched);
    // A shell tries one directory after the other.
    __atomic_sub_fetch(&clock_us, SECOND, __ATOMIC_RELAXED);
    return result;
}

SHOWN int execv(const char *path, char *const *arguments) { return execve(path, arguments, environ); }

SHOWN int execvp(const char *file, char *const *arguments) {
    ready();
    begin_child();
    return real.execvp(file, arguments);
}

SHOWN int execvpe(const char *file, char *const *arguments, char *const *environment) {
    WITH_STREAM(environment, patched)
    return real.execvpe(file, arguments, patched);
}

SHOWN int posix_spawn(int *pid, const char *path, const void *actions, const void *attributes, char *const *arguments,
                      char *const *environment) {
    WITH_STREAM(environment, patched)
    return real.posix_spawn(pid, path, actions, attributes, arguments, patched);
}

SHOWN int posix_spawnp(int *pid, const char *file, const void *actions, const void *attributes, char *const *arguments,
                       char *const *environment) {
    WITH_STREAM(environment, patched)
    return real.posix_spawnp(pid, file, actions, attributes, arguments, patched);
}

SHOWN int system(const char *command) {
    ready();
    if (command) begin_child();
    return real.system(command);
}

SHOWN void *popen(const char *command, const char *mode) {
    ready();
    begin_child();
    return real.popen(command, mode);
}
