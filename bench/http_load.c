/* How fast are files served over HTTP? Keeps one request under way on each of many connections that stay open.
 *
 *     http_load PORT CONNECTIONS EXCHANGES SECONDS
 *
 * EXCHANGES holds pairs of a request, encoded, and the body that its answer must have, octet for octet; an empty
 * one stands for 304 (Not Modified). They are asked in turn. Prints as JSON how many were answered in how many
 * seconds, the octets of their bodies, and the client's own seconds of processor time. Shares with the LDAP
 * clients how files are read.
 */

#define _GNU_SOURCE
#include "ldap_client.h"

#include <sys/epoll.h>
#include <sys/resource.h>

enum { HEAD = 4096, CHUNK = 1 << 18 };

struct http_connection {
    int socket;
    const struct exchange *asked;
    char head[HEAD + 1];
    size_t filled; /* Of the head, until it is whole. */
    bool has_head;
    size_t received; /* Of the body. */
};

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void connect_to(struct http_connection *connection, uint16_t port) {
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(port)};
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connection->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->socket < 0 || connect(connection->socket, (struct sockaddr *)&server, sizeof server) < 0)
        die("no connection: %s", strerror(errno));
}

static void request(struct http_connection *connection, const struct exchange *exchange) {
    connection->asked = exchange;
    connection->filled = connection->received = 0;
    connection->has_head = false;
    ssize_t sent = send(connection->socket, exchange->request.at, exchange->request.size, MSG_NOSIGNAL);
    if (sent != (ssize_t)exchange->request.size) die("a request could not be sent: %s", strerror(errno));
}

static void take_body(struct http_connection *connection, const void *octets, size_t size) {
    struct octets expected = connection->asked->expected;
    if (expected.size - connection->received < size ||
        memcmp(expected.at + connection->received, octets, size) != 0)
        die("an answer has another body than it must have");
    connection->received += size;
}

/* Takes the head's octets from what was received; returns how many there were. */
static size_t take_head(struct http_connection *connection, const char *octets, size_t size) {
    size_t before = connection->filled, room = HEAD - before, taken = size < room ? size : room;
    memcpy(connection->head + before, octets, taken);
    connection->head[connection->filled += taken] = 0;
    const char *end = strstr(connection->head, "\r\n\r\n");
    if (!end) {
        if (connection->filled == HEAD) die("a head of more than %d octets", HEAD);
        return taken;
    }
    const char *status = connection->asked->expected.size ? "HTTP/1.1 200 " : "HTTP/1.1 304 ";
    if (strncmp(connection->head, status, strlen(status)) != 0) die("not answered with %s", status);
    connection->has_head = true;
    return (size_t)(end + 4 - connection->head) - before;
}

/* Receives what is there; tells whether the answer is whole. */
static bool is_whole(struct http_connection *connection) {
    static char chunk[CHUNK];
    ssize_t got = recv(connection->socket, chunk, CHUNK, 0);
    if (got <= 0) die("the server hung up: %s", got ? strerror(errno) : "end of stream");
    size_t size = (size_t)got, head = connection->has_head ? 0 : take_head(connection, chunk, size);
    if (connection->has_head && head < size) take_body(connection, chunk + head, size - head);
    return connection->has_head && connection->received == connection->asked->expected.size;
}

int main(int argc, char **argv) {
    if (argc != 5) die("usage: http_load PORT CONNECTIONS EXCHANGES SECONDS");
    size_t number = (size_t)atoi(argv[2]), asked = 0, answers = 0;
    struct exchanges exchanges = read_exchanges(argv[3]);
    struct http_connection *connections = room_for(number, sizeof *connections);
    struct epoll_event events[EVENTS];
    int poll = epoll_create1(EPOLL_CLOEXEC);
    if (poll < 0) die("cannot begin: %s", strerror(errno));
    for (size_t i = 0; i < number; i++) {
        struct epoll_event readable = {.events = EPOLLIN, .data.ptr = &connections[i]};
        connect_to(&connections[i], (uint16_t)atoi(argv[1]));
        epoll_ctl(poll, EPOLL_CTL_ADD, connections[i].socket, &readable);
    }
    double begin = now(), end = begin + atof(argv[4]), moment = begin, octets = 0;
    for (size_t i = 0; i < number; i++) request(&connections[i], &exchanges.of[asked++ % exchanges.count]);
    while (moment < end) {
        int ready = epoll_wait(poll, events, EVENTS, 1000);
        if (ready < 0) die("epoll: %s", strerror(errno));
        for (int i = 0; i < ready; i++) {
            struct http_connection *connection = events[i].data.ptr;
            if (!is_whole(connection)) continue;
            answers++;
            octets += (double)connection->received;
            request(connection, &exchanges.of[asked++ % exchanges.count]);
        }
        moment = now();
    }
    printf("{\"answers\": %zu, \"seconds\": %.6f, \"octets\": %.0f, \"cpu\": %.4f}\n", answers, moment - begin,
           octets, cpu_seconds());
    return 0;
}
