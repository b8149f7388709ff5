/* How fast are LDAP searches answered? Keeps one search under way on each of many connections.
 *
 *     ldap_load PORT CONNECTIONS BIND EXCHANGES for WARM_UP_SECONDS SECONDS
 *     ldap_load PORT CONNECTIONS BIND EXCHANGES each PASSES
 *     ldap_load PORT CONNECTIONS BIND EXCHANGES every
 *
 * The first asks at random for so long; the second asks everything in the file so many times; the third asks
 * everything over every connection, each beginning at another place.
 * Prints `begun` when the measured time begins, and the figures as JSON when it is over: milliseconds,
 * seconds of processor time, and a histogram of pairs: milliseconds, and how many answers took at most that
 * long but longer than the pair before.
 */

#define _GNU_SOURCE
#include "ldap_client.h"

#include <math.h>
#include <sys/epoll.h>
#include <sys/resource.h>

static const double FIRST_STEP = 0.01, STEP = 1.189207115002721; /* the fourth root of 2 */

enum manner { AT_RANDOM, EACH, EVERY };

struct questions {
    struct exchanges exchanges;
    enum manner manner;
    size_t left, *left_of; /* To be asked over all connections together; over each of them. */
    size_t connections;
    uint64_t random;
};

struct latencies {
    float *milliseconds;
    size_t count, room;
};

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static struct questions ask_about(struct exchanges exchanges, enum manner manner, size_t passes, size_t connections) {
    struct questions questions = {.exchanges = exchanges,
                                  .manner = manner,
                                  .left = exchanges.count * passes,
                                  .left_of = room_for(connections, sizeof(size_t)),
                                  .connections = connections,
                                  .random = 0x9E3779B97F4A7C15};
    for (size_t i = 0; i < connections; i++) questions.left_of[i] = exchanges.count;
    return questions;
}

/* What to ask next over a connection; NULL when that was all. */
static const struct exchange *next_of(struct questions *questions, size_t connection) {
    size_t count = questions->exchanges.count, begin = connection * count / questions->connections;
    switch (questions->manner) {
    case EACH:
        return questions->left ? &questions->exchanges.of[--questions->left % count] : NULL;
    case EVERY:
        if (!questions->left_of[connection]) return NULL;
        return &questions->exchanges.of[(begin + --questions->left_of[connection]) % count];
    default: /* xorshift64 */
        questions->random ^= questions->random << 13;
        questions->random ^= questions->random >> 7;
        questions->random ^= questions->random << 17;
        return &questions->exchanges.of[questions->random % count];
    }
}

/* Figures. */

static void note(struct latencies *latencies, double milliseconds) {
    if (latencies->count == latencies->room) {
        latencies->room = latencies->room ? 2 * latencies->room : 65536;
        latencies->milliseconds =
            realloc(latencies->milliseconds, latencies->room * sizeof *latencies->milliseconds);
        if (!latencies->milliseconds) die("out of memory");
    }
    latencies->milliseconds[latencies->count++] = (float)milliseconds;
}

static int ascending(const void *one, const void *other) {
    float a = *(const float *)one, b = *(const float *)other;
    return (a > b) - (a < b);
}

static float percentile(const struct latencies *latencies, size_t per_thousand) {
    size_t rank = (latencies->count * per_thousand + 999) / 1000;
    return latencies->milliseconds[rank ? rank - 1 : 0];
}

static void print_histogram(const struct latencies *latencies) {
    size_t counted = 0;
    const char *separator = "";
    for (double limit = FIRST_STEP; counted < latencies->count; limit *= STEP) {
        size_t before = counted;
        while (counted < latencies->count && latencies->milliseconds[counted] <= limit) counted++;
        if (counted == before) continue;
        printf("%s[%.4f, %zu]", separator, limit, counted - before);
        separator = ", ";
    }
}

static void report(struct latencies *latencies, double seconds, double cpu, size_t fewest, size_t most) {
    if (!latencies->count) die("nothing was answered");
    qsort(latencies->milliseconds, latencies->count, sizeof *latencies->milliseconds, ascending);
    printf("{\"answers\": %zu, \"seconds\": %.6f, \"cpu\": %.4f, \"p50\": %.4f, \"p90\": %.4f, \"p99\": %.4f, "
           "\"longest\": %.4f, \"fewest\": %zu, \"most\": %zu, \"histogram\": [",
           latencies->count, seconds, cpu, percentile(latencies, 500), percentile(latencies, 900),
           percentile(latencies, 990), percentile(latencies, 1000), fewest, most);
    print_histogram(latencies);
    puts("]}");
}

int main(int argc, char **argv) {
    bool timed = argc == 8 && !strcmp(argv[5], "for"), each = argc == 7 && !strcmp(argv[5], "each");
    if (!timed && !each && (argc != 6 || strcmp(argv[5], "every")))
        die("usage: ldap_load PORT CONNECTIONS BIND EXCHANGES for WARM_UP_SECONDS SECONDS | each PASSES | every");
    uint16_t port = (uint16_t)atoi(argv[1]);
    size_t number = (size_t)atoi(argv[2]);
    struct octets bind = read_bind(argv[3]);
    struct questions questions = ask_about(
        read_exchanges(argv[4]), timed ? AT_RANDOM : each ? EACH : EVERY, each ? (size_t)atoi(argv[6]) : 1, number);
    double warm_up = timed ? atof(argv[6]) : 0, seconds = timed ? atof(argv[7]) : INFINITY;
    struct connection *connections = room_for(number, sizeof *connections);
    struct latencies latencies = {0};
    struct epoll_event events[EVENTS];
    int poll = epoll_create1(EPOLL_CLOEXEC);
    if (poll < 0) die("cannot begin: %s", strerror(errno));

    for (size_t i = 0; i < number; i++) {
        struct epoll_event readable = {.events = EPOLLIN, .data.ptr = &connections[i]};
        open_connection(&connections[i], port, bind);
        epoll_ctl(poll, EPOLL_CTL_ADD, connections[i].socket, &readable);
    }

    double moment = now(), begin = moment + warm_up, cpu = 0;
    size_t asking = 0;
    bool measuring = false;
    for (size_t i = 0; i < number; i++) {
        const struct exchange *first = next_of(&questions, i);
        if (!first) break;
        ask(&connections[i], first);
        asking++;
    }
    while (asking > 0 && moment < begin + seconds) {
        if (!measuring && moment >= begin) {
            measuring = true;
            begin = moment;
            cpu = cpu_seconds();
            for (size_t i = 0; i < number; i++) connections[i].answers = 0;
            puts("begun");
            fflush(stdout);
        }
        int ready = epoll_wait(poll, events, EVENTS, 1000);
        if (ready < 0) die("epoll: %s", strerror(errno));
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            if (!is_answered(connection)) continue;
            if (measuring) note(&latencies, (now() - connection->asked_at) * 1000);
            const struct exchange *next = next_of(&questions, (size_t)(connection - connections));
            if (next)
                ask(connection, next);
            else
                asking--;
        }
        moment = now();
    }
    cpu = cpu_seconds() - cpu;
    size_t fewest = SIZE_MAX, most = 0;
    for (size_t i = 0; i < number; i++) {
        fewest = connections[i].answers < fewest ? connections[i].answers : fewest;
        most = connections[i].answers > most ? connections[i].answers : most;
    }
    report(&latencies, moment - begin, cpu, fewest, most);
    return 0;
}
