/* What the LDAP clients of the benchmarks share: the files they are given, as much BER as LDAP messages need,
 * and connections over which one search at a time is under way.
 *
 * The files hold what bench/ldap_load.py wrote: octets behind their length in four octets, most significant
 * first. One file holds the bind request; the other pairs of a search request and what its one entry must end
 * with. Everything is encoded beforehand, so that a client costs a fraction of the server. Whatever is not as
 * it must be ends the program: there are no figures then.
 */

#ifndef LDAP_CLIENT_H
#define LDAP_CLIENT_H

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
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BIND_RESPONSE = 0x61, ENTRY = 0x64, DONE = 0x65, EXTENDED_RESPONSE = 0x78, BUFFER = 8192, EVENTS = 256 };

struct octets {
    const uint8_t *at;
    size_t size;
};

struct exchange {
    struct octets request, expected;
};

struct exchanges {
    struct exchange *of;
    size_t count;
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
    size_t answers;
    size_t filled;
    uint8_t *buffer; /* BUFFER octets; NULL while nothing is expected. */
};

static inline void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

static inline double now(void) {
    struct timespec moment;
    clock_gettime(CLOCK_MONOTONIC, &moment);
    return (double)moment.tv_sec + (double)moment.tv_nsec / 1e9;
}

static inline void *room_for(size_t number, size_t size) {
    void *room = calloc(number, size);
    if (!room) die("out of memory");
    return room;
}

/* The files. */

static inline struct octets whole_file(const char *path) {
    struct stat status;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &status) < 0) die("%s: %s", path, strerror(errno));
    struct octets whole = {mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0),
                           (size_t)status.st_size};
    if (whole.at == MAP_FAILED) die("%s: %s", path, strerror(errno));
    close(file);
    return whole;
}

static inline struct octets take(struct octets *rest) {
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

static inline struct octets read_bind(const char *path) {
    struct octets rest = whole_file(path);
    return take(&rest);
}

static inline struct exchanges read_exchanges(const char *path) {
    struct exchanges read = {0};
    struct octets rest = whole_file(path);
    for (size_t room = 0; rest.size > 0; read.count++) {
        if (read.count == room) {
            room = room ? 2 * room : 1024;
            read.of = realloc(read.of, room * sizeof *read.of);
            if (!read.of) die("out of memory");
        }
        read.of[read.count].request = take(&rest);
        read.of[read.count].expected = take(&rest);
    }
    if (!read.count) die("%s holds no searches", path);
    return read;
}

/* BER. */

/* Reads tag and length of an element; false when not all of it is there. */
static inline bool read_element(struct octets from, uint8_t *tag, struct octets *content) {
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

static inline struct octets after(struct octets whole, struct octets part) {
    const uint8_t *end = part.at + part.size;
    return (struct octets){end, (size_t)(whole.at + whole.size - end)};
}

static inline bool read_message(struct octets from, struct message *message) {
    uint8_t tag;
    struct octets body, id;
    if (!read_element(from, &tag, &body)) return false;
    if (!read_element(body, &tag, &id) ||
        !read_element(after(body, id), &message->operation, &message->content))
        die("a message that is none");
    message->size = (size_t)(body.at + body.size - from.at);
    return true;
}

static inline int result_code(struct octets result) {
    uint8_t tag;
    struct octets code;
    if (!read_element(result, &tag, &code) || code.size != 1) die("a result without a code");
    return code.at[0];
}

/* Whether the entry ends with it: only one attribute was asked for, and it has one value. */
static inline bool ends_with(struct octets entry, struct octets expected) {
    return entry.size >= expected.size &&
           !memcmp(entry.at + entry.size - expected.size, expected.at, expected.size);
}

/* Connections. */

static inline void send_all(struct connection *connection, struct octets octets) {
    ssize_t sent = send(connection->socket, octets.at, octets.size, MSG_NOSIGNAL);
    if (sent != (ssize_t)octets.size) die("a request could not be sent: %s", strerror(errno));
}

static inline void receive(struct connection *connection) {
    if (!connection->buffer) connection->buffer = room_for(1, BUFFER);
    if (connection->filled == BUFFER) die("an answer of more than %d octets", BUFFER);
    ssize_t got =
        recv(connection->socket, connection->buffer + connection->filled, BUFFER - connection->filled, 0);
    if (got <= 0) die("the server hung up: %s", got ? strerror(errno) : "end of stream");
    connection->filled += (size_t)got;
}

static inline void ask(struct connection *connection, const struct exchange *exchange) {
    connection->asked = exchange;
    connection->entries = 0;
    connection->asked_at = now();
    send_all(connection, exchange->request);
}

static inline void open_connection(struct connection *connection, uint16_t port, struct octets bind) {
    struct sockaddr_in server = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int yes = 1;
    struct message message;
    connection->filled = 0;
    connection->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->socket < 0) die("no socket: %s", strerror(errno));
    if (connect(connection->socket, (struct sockaddr *)&server, sizeof server) < 0)
        die("cannot connect: %s", strerror(errno));
    setsockopt(connection->socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    send_all(connection, bind);
    do {
        receive(connection);
    } while (!read_message((struct octets){connection->buffer, connection->filled}, &message));
    if (message.operation != BIND_RESPONSE || result_code(message.content) != 0) die("the bind was refused");
    connection->filled = 0;
}

/* Reads what has come; true when the search has been answered, and as it must be. */
static inline bool is_answered(struct connection *connection) {
    size_t read = 0;
    bool answered = false;
    struct message message;
    receive(connection);
    while (read_message((struct octets){connection->buffer + read, connection->filled - read}, &message)) {
        read += message.size;
        if (message.operation == ENTRY) {
            if (!ends_with(message.content, connection->asked->expected))
                die("an entry without the expected certificate");
            connection->entries++;
        } else if (message.operation == DONE) {
            if (result_code(message.content) != 0) die("result code %d", result_code(message.content));
            if (connection->entries != 1) die("%d entries instead of one", connection->entries);
            connection->answers++;
            answered = true;
        } else {
            die("an unexpected operation %#x", message.operation);
        }
    }
    memmove(connection->buffer, connection->buffer + read, connection->filled - read);
    connection->filled -= read;
    return answered;
}

#endif
