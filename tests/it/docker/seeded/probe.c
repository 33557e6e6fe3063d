// What a program sees of randomness and wall time, by each way to ask for them. Compiled for glibc and for musl.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static unsigned char bytes[8];

static void show(const char *name) {
    printf("%s ", name);
    for (int i = 0; i < 8; i++) printf("%02x", bytes[i]);
    puts("");
    fflush(stdout);
}

static void draw(const char *name) {
    if (getrandom(bytes, 8, 0) != 8) exit(1);
    show(name);
}

int main(int count, char **arguments) {
    char *self = arguments[0];
    if (count > 1) {
        draw(arguments[1]);
        return 0;
    }
    draw("getrandom");
    if (getentropy(bytes, 8)) return 1;
    show("getentropy");
    if (syscall(SYS_getrandom, bytes, 8, 0) != 8) return 1;
    show("syscall");
    int file = open("/dev/urandom", O_RDONLY);
    if (read(file, bytes, 8) != 8) return 1;
    show("open");
    FILE *stream = fopen("/dev/random", "r");
    if (!stream || fread(bytes, 8, 1, stream) != 1) return 1;
    show("fopen");

    struct timeval day;
    struct timespec now, before, after;
    gettimeofday(&day, 0);
    clock_gettime(CLOCK_REALTIME, &now);
    printf("time %ld %ld %ld\n", (long)time(0), (long)day.tv_usec, now.tv_nsec);

    // A wait for a time takes as long as it should, and is over by this clock.
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
    now.tv_sec += 1;
    clock_gettime(CLOCK_MONOTONIC, &before);
    pthread_mutex_lock(&mutex);
    int waited = pthread_cond_timedwait(&condition, &mutex, &now);
    clock_gettime(CLOCK_MONOTONIC, &after);
    long took = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
    printf("waited %d, long enough %d, over %d\n", waited == ETIMEDOUT, took > 900, time(0) >= now.tv_sec);
    time_t end = time(0) + 2;
    sleep(1);
    while (time(0) < end) continue;

    for (int i = 0; i < 2; i++) {
        pid_t child = fork();
        if (!child) {
            draw("forked");
            execl(self, self, "execl", (char *)0);
            return 1;
        }
        waitpid(child, 0, 0);
    }
    pid_t child = vfork();
    if (!child) {
        execv(self, (char *[]){self, "vfork", 0});
        _exit(1);
    }
    waitpid(child, 0, 0);
    char command[300];
    snprintf(command, sizeof command, "%s system", self);
    if (system(command) || system(command)) return 1;
    draw("parent");
    return 0;
}
