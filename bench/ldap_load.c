/* How fast are LDAP searches answered? Keeps one search under way on each of many connections.
 *
 *     ldap_load PORT CONNECTIONS WARM_UP_SECONDS SECONDS FILE
 *
 * FILE holds what bench/ldap_load.py wrote: the bind request, then pairs of a search request and the octets
 * that its answer must hold. All requests are encoded beforehand, so that the client costs a fraction of the
 * server. Every answer must be one entry with the expected octets, and success; anything else ends the run.
 * Prints `begun` when the measured time begins, and the figures as JSON when it is over.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BIND_RESPONSE = 0x61, ENTRY = 0x64, DONE = 0x65, BUFFER = 16384, EVENTS = 256 };

struct octets {
    const uint8_t *at;
    size_t size;
};

struct exchange {
    struct octets request, expected;
};

struct message {
    uint8_t operation;
    struct octets content;
    size_t size;
};

struct connection {
    int socket;
    const struct exchange *asked;
    double asked_at;
    int entries;
    size_t filled;
    uint8_t buffer[BUFFER];
};

struct load {
    struct octets bind;
    struct exchange *exchanges;
    size_t count;
    uint64_t random;
};

struct latencies {
    float *milliseconds;
    size_t count, room;
};

static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

static double now(void) {
    struct timespec moment;
    clock_gettime(CLOCK_MONOTONIC, &moment);
    return (double)moment.tv_sec + (double)moment.tv_nsec / 1e9;
}

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* The file. */

static struct octets take(struct octets *rest) {
    uint32_t size;
    if (rest->size < sizeof size) die("the file ends early");
    memcpy(&size, rest->at, sizeof size);
    size = ntohl(size);
    if (rest->size - sizeof size < size) die("the file ends early");
    struct octets taken = {rest->at + sizeof size, size};
    rest->at += sizeof size + size;
    rest->size -= sizeof size + size;
    return taken;
}

static struct load read_load(const char *path) {
    struct stat status;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &status) < 0) die("%s: %s", path, strerror(errno));
    struct octets rest = {mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0),
                          (size_t)status.st_size};
    if (rest.at == MAP_FAILED) die("%s: %s", path, strerror(errno));
    struct load load = {.bind = take(&rest), .random = 0x9E3779B97F4A7C15};
    for (size_t room = 0; rest.size > 0; load.count++) {
        if (load.count == room) {
            room = room ? 2 * room : 1024;
            load.exchanges = realloc(load.exchanges, room * sizeof *load.exchanges);
            if (!load.exchanges) die("out of memory");
        }
        load.exchanges[load.count].request = take(&rest);
        load.exchanges[load.count].expected = take(&rest);
    }
    if (!load.count) die("%s holds no searches", path);
    return load;
}

static const struct exchange *any_of(struct load *load) { /* xorshift64 */
    load->random ^= load->random << 13;
    load->random ^= load->random >> 7;
    load->random ^= load->random << 17;
    return &load->exchanges[load->random % load->count];
}

/* BER, as far as LDAP messages need it. */

/* Reads tag and length of an element; false when not all of it is there. */
static bool read_element(struct octets from, uint8_t *tag, struct octets *content) {
    if (from.size < 2) return false;
    size_t length = from.at[1], header = 2;
    if (length & 0x80) {
        size_t more = length & 0x7F;
        if (more < 1 || more > 4) die("a length of %zu octets", more);
        if (from.size < header + more) return false;
        for (length = 0; more > 0; more--) length = length << 8 | from.at[header++];
    }
    if (from.size < header + length) return false;
    *tag = from.at[0];
    *content = (struct octets){from.at + header, length};
    return true;
}

static struct octets after(struct octets whole, struct octets part) {
    const uint8_t *end = part.at + part.size;
    return (struct octets){end, (size_t)(whole.at + whole.size - end)};
}

static bool read_message(struct octets from, struct message *message) {
    uint8_t tag;
    struct octets body, id;
    if (!read_element(from, &tag, &body)) return false;
    if (!read_element(body, &tag, &id) || !read_element(after(body, id), &message->operation, &message->content))
        die("a message that is none");
    message->size = (size_t)(body.at + body.size - from.at);
    return true;
}

static int result_code(struct octets result) {
    uint8_t tag;
    struct octets code;
    if (!read_element(result, &tag, &code) || code.size != 1) die("a result without a code");
    return code.at[0];
}

/* Connections. */

static void send_all(struct connection *connection, struct octets octets) {
    ssize_t sent = send(connection->socket, octets.at, octets.size, MSG_NOSIGNAL);
    if (sent != (ssize_t)octets.size) die("a request could not be sent: %s", strerror(errno));
}

static void receive(struct connection *connection) {
    if (connection->filled == BUFFER) die("an answer of more than %d octets", BUFFER);
    ssize_t got =
        recv(connection->socket, connection->buffer + connection->filled, BUFFER - connection->filled, 0);
    if (got <= 0) die("the server hung up: %s", got ? strerror(errno) : "end of stream");
    connection->filled += (size_t)got;
}

static void ask(struct connection *connection, struct load *load) {
    connection->asked = any_of(load);
    connection->entries = 0;
    connection->asked_at = now();
    send_all(connection, connection->asked->request);
}

static void open_connection(struct connection *connection, uint16_t port, struct load *load) {
    struct sockaddr_in server = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int yes = 1;
    struct message message;
    connection->filled = 0;
    connection->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(connection->socket, (struct sockaddr *)&server, sizeof server) < 0)
        die("cannot connect: %s", strerror(errno));
    setsockopt(connection->socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    send_all(connection, load->bind);
    do {
        receive(connection);
    } while (!read_message((struct octets){connection->buffer, connection->filled}, &message));
    if (message.operation != BIND_RESPONSE || result_code(message.content) != 0) die("the bind was refused");
    connection->filled = 0;
}

/* Reads what has come; true when the search has been answered, and as it must be. */
static bool is_answered(struct connection *connection) {
    size_t read = 0;
    bool answered = false;
    struct message message;
    receive(connection);
    while (read_message((struct octets){connection->buffer + read, connection->filled - read}, &message)) {
        struct octets expected = connection->asked->expected;
        read += message.size;
        if (message.operation == ENTRY) {
            if (!memmem(message.content.at, message.content.size, expected.at, expected.size))
                die("an entry without the expected certificate");
            connection->entries++;
        } else if (message.operation == DONE) {
            if (result_code(message.content) != 0) die("result code %d", result_code(message.content));
            if (connection->entries != 1) die("%d entries instead of one", connection->entries);
            answered = true;
        } else {
            die("an unexpected operation %#x", message.operation);
        }
    }
    memmove(connection->buffer, connection->buffer + read, connection->filled - read);
    connection->filled -= read;
    return answered;
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

static void report(struct latencies *latencies, double seconds, double cpu) {
    if (!latencies->count) die("nothing was answered");
    qsort(latencies->milliseconds, latencies->count, sizeof *latencies->milliseconds, ascending);
    printf("{\"answers\": %zu, \"seconds\": %.6f, \"p50\": %.4f, \"p90\": %.4f, \"p99\": %.4f, \"longest\": %.4f, "
           "\"cpu\": %.4f}\n",
           latencies->count, seconds, percentile(latencies, 500), percentile(latencies, 900),
           percentile(latencies, 990), percentile(latencies, 1000), cpu);
}

int main(int argc, char **argv) {
    if (argc != 6) die("usage: ldap_load PORT CONNECTIONS WARM_UP_SECONDS SECONDS FILE");
    uint16_t port = (uint16_t)atoi(argv[1]);
    size_t number = (size_t)atoi(argv[2]);
    double warm_up = atof(argv[3]), seconds = atof(argv[4]);
    struct load load = read_load(argv[5]);
    struct connection *connections = calloc(number, sizeof *connections);
    struct latencies latencies = {0};
    struct epoll_event events[EVENTS];
    int poll = epoll_create1(EPOLL_CLOEXEC);
    if (!connections || poll < 0) die("cannot begin: %s", strerror(errno));

    for (size_t i = 0; i < number; i++) {
        struct epoll_event readable = {.events = EPOLLIN, .data.ptr = &connections[i]};
        open_connection(&connections[i], port, &load);
        epoll_ctl(poll, EPOLL_CTL_ADD, connections[i].socket, &readable);
    }
    for (size_t i = 0; i < number; i++) ask(&connections[i], &load);

    double begin = now() + warm_up, moment = now(), cpu = 0;
    bool measuring = false;
    while (moment < begin + seconds) {
        int ready = epoll_wait(poll, events, EVENTS, 1000);
        if (ready < 0) die("epoll: %s", strerror(errno));
        moment = now();
        if (!measuring && moment >= begin) {
            measuring = true;
            begin = moment;
            cpu = cpu_seconds();
            puts("begun");
            fflush(stdout);
        }
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            if (!is_answered(connection)) continue;
            if (measuring) note(&latencies, (now() - connection->asked_at) * 1000);
            ask(connection, &load);
        }
    }
    report(&latencies, moment - begin, cpu_seconds() - cpu);
    return 0;
}
