/* An engine in C, which speaks manualnn/oracle/PROTOCOL.md: Linear, Sigmoid, Tanh and ReLU under
 * MSELoss, trained by SGD, in float64.
 *
 *     cc -O2 -o engine engine.c -lm && manualnn check ./engine
 *
 * What a line of input takes is kept in one list of memory blocks, which are freed after its answer.
 */
#define _POSIX_C_SOURCE 200809L                                                     /* getline */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Block { struct Block *next; double content[]; } Block;
static Block *blocks;

static void *get(size_t bytes) {                              /* zeros, until the line is answered */
    Block *block = calloc(1, sizeof(Block) + bytes);
    if (!block) { fprintf(stderr, "no memory for %zu bytes\n", bytes); exit(1); }
    block->next = blocks, blocks = block;
    return block->content;
}

/* JSON: a value's entries are a linked list; `key` is its name in an object. */
typedef struct Value {
    char kind, *text, *key;                       /* { [ " or anything else: a number, true, null */
    double number;
    struct Value *first, *next;
} Value;

static char *string(char **at) {                        /* escapes stay: no name here has any */
    char *begin = ++*at;
    for (; **at != '"'; ++*at) if (**at == '\\') ++*at;
    *(*at)++ = 0;
    return begin;
}

static Value *parse(char **at) {
    Value *value = get(sizeof *value), **end = &value->first;
    value->kind = *(*at += strspn(*at, " \t\r\n"));
    if (value->kind == '"') {
        value->text = string(at);
        value->number = strtod(value->text, NULL);                          /* "Infinity", "NaN" */
    } else if (value->kind == '{' || value->kind == '[') {
        for (++*at; *(*at += strspn(*at, " \t\r\n,")) != value->kind + 2; end = &(*end)->next) {
            char *key = NULL;
            if (value->kind == '{') key = string(at), *at += strspn(*at, " \t\r\n:");
            *end = parse(at), (*end)->key = key;
        }
        ++*at;
    } else if (strchr("tfn", value->kind)) {
        value->number = value->kind == 't';
        *at += strcspn(*at, ",]} \t\r\n");
    } else value->number = strtod(*at, at);
    return value;
}

static Value *member(Value *object, const char *key) {          /* NULL if there is none, or null */
    Value *value = object ? object->first : NULL;
    while (value && strcmp(value->key, key)) value = value->next;
    return value && value->kind != 'n' ? value : NULL;
}

static double option(Value *spec, const char *key, double otherwise) {
    Value *value = member(spec, key);
    return value ? value->number : otherwise;
}

static size_t count(Value *list) {
    size_t n = list->kind != '[';
    for (Value *entry = list->first; entry; entry = entry->next) n += count(entry);
    return n;
}

static double *fill(Value *list, double *to) {
    if (list->kind != '[') *to++ = list->number;
    for (Value *entry = list->first; entry; entry = entry->next) to = fill(entry, to);
    return to;
}

static double *array(Value *list) {
    double *numbers = get(count(list) * sizeof *numbers);
    fill(list, numbers);
    return numbers;
}

static void print(const double *a, size_t rows, size_t columns) {       /* rows 0: a vector */
    if (rows) putchar('[');
    for (size_t i = 0; i < (rows ? rows : 1); i++) {
        printf(i ? ",[" : "[");
        for (size_t j = 0; j < columns; j++, a++) {
            if (j) putchar(',');
            if (isfinite(*a)) printf("%.17g", *a);
            else printf(isnan(*a) ? "\"NaN\"" : *a > 0 ? "\"Infinity\"" : "\"-Infinity\"");
        }
        putchar(']');
    }
    if (rows) putchar(']');
}

/* The network. A parameter: p, its gradient g, momentum's buffer m. */
typedef struct { char *key; size_t rows, columns, size; double *p, *g, *m; } Param;
typedef struct { char type; size_t in, out; Param *weight, *bias; double *y, *dy; } Layer;

static Param *find(Param *params, size_t n, size_t layer, const char *name) {
    char key[64];
    snprintf(key, sizeof key, "%zu.%s", layer, name);
    for (size_t i = 0; i < n; i++) if (!strcmp(params[i].key, key)) return params + i;
    return NULL;
}

static void forward(const Layer *l, size_t n, const double *x) {
    for (size_t s = 0; s < n; s++) for (size_t i = 0; i < l->out; i++) {
        double z = l->type == 'L' ? 0 : x[s * l->in + i];
        if (l->type == 'L') {
            for (size_t j = 0; j < l->in; j++) z += l->weight->p[i * l->in + j] * x[s * l->in + j];
            if (l->bias) z += l->bias->p[i];
        }
        l->y[s * l->out + i] = l->type == 'S' ? 1 / (1 + exp(-z)) : l->type == 'T' ? tanh(z)
                             : l->type == 'R' ? (z > 0 ? z : 0) : z;
    }
}

static void backward(const Layer *l, size_t n, const double *x, double *dx) {
    for (size_t s = 0; s < n; s++) for (size_t i = 0; i < l->out; i++) {
        double y = l->y[s * l->out + i], dy = l->dy[s * l->out + i];
        if (l->type != 'L') {
            dx[s * l->in + i] = l->type == 'S' ? dy * (y * (1 - y))
                              : l->type == 'T' ? dy * (1 - y * y) : y > 0 ? dy : 0;
            continue;
        }
        if (l->bias) l->bias->g[i] += dy;
        for (size_t j = 0; j < l->in; j++) {
            l->weight->g[i * l->in + j] += dy * x[s * l->in + j];
            dx[s * l->in + j] += dy * l->weight->p[i * l->in + j];
        }
    }
}

static void update(Param *q, Value *rule, int first) {
    double lr = option(rule, "lr", 0.001), momentum = option(rule, "momentum", 0);
    double dampening = option(rule, "dampening", 0), decay = option(rule, "weight_decay", 0);
    double sign = option(rule, "maximize", 0) ? -1 : 1;
    for (size_t i = 0; i < q->size; i++) {
        double g = sign * q->g[i];
        if (decay != 0) g += decay * q->p[i];
        if (momentum != 0) {
            q->m[i] = first ? g : momentum * q->m[i] + (1 - dampening) * g;
            g = option(rule, "nesterov", 0) ? g + momentum * q->m[i] : q->m[i];
        }
        q->p[i] -= lr * g;
    }
}

static void run(Value *message) {
    Value *c = member(message, "case"), *rule = member(c, "optimizer"), *state = member(c, "state");
    Value *specs = member(c, "layers"), *list = member(c, "params"), *rows = member(c, "x");
    size_t n = 0, depth = 0, parameters = 0, done = (size_t)option(state, "step", 0);
    for (Value *v = rows->first; v; v = v->next) n++;
    for (Value *v = specs->first; v; v = v->next) depth++;
    for (Value *v = list->first; v; v = v->next) parameters++;
    size_t inputs = count(rows) / n, width = inputs, steps = (size_t)option(c, "steps", 1);
    double *x = array(rows), *t = array(member(c, "t")), loss = 0;

    Param *params = get(parameters * sizeof *params), *q = params;
    for (Value *v = list->first; v; v = v->next, q++) {
        Value *kept = member(member(state, "momentum_buffer"), v->key);
        q->key = v->key, q->p = array(v), q->size = count(v);
        if (v->first->kind == '[') for (Value *row = v->first; row; row = row->next) q->rows++;
        q->columns = q->rows ? q->size / q->rows : q->size;
        q->m = kept ? array(kept) : get(q->size * sizeof *q->m);
        q->g = get(q->size * sizeof *q->g);
    }
    Layer *layers = get((depth + 1) * sizeof *layers), *l = layers;    /* one more: the input */
    layers->y = x, layers->out = inputs, layers->dy = get(n * inputs * sizeof *layers->dy);
    for (Value *v = specs->first; v; v = v->next) {
        ++l;
        l->type = *member(v, "type")->text, l->in = width;
        l->weight = find(params, parameters, l - layers - 1, "weight");
        l->bias = find(params, parameters, l - layers - 1, "bias");
        width = l->out = l->weight ? l->weight->rows : width;
        l->y = get(n * width * sizeof *l->y), l->dy = get(n * width * sizeof *l->dy);
    }

    Value *spec = member(c, "loss"), *reduction = member(spec, "reduction");
    char kind = reduction ? *reduction->text : 'm';                      /* mean, sum, batchmean */
    double divisor = kind == 's' ? 1 : kind == 'b' ? n : (double)n * width;
    double factor = option(spec, "factor", 1);
    for (size_t step = 0; step < steps; step++) {
        for (l = layers + 1; l <= layers + depth; l++) forward(l, n, l[-1].y);
        for (q = params; q < params + parameters; q++) memset(q->g, 0, q->size * sizeof *q->g);
        for (l = layers; l <= layers + depth; l++) memset(l->dy, 0, n * l->out * sizeof *l->dy);
        loss = 0, l = layers + depth;
        for (size_t i = 0; i < n * width; i++) {
            double error = l->y[i] - t[i];
            loss += error * error, l->dy[i] = 2 * factor * error / divisor;
        }
        loss *= factor / divisor;
        for (; l > layers; l--) backward(l, n, l[-1].y, l[-1].dy);
        if (rule) for (q = params; q < params + parameters; q++) update(q, rule, done + step == 0);
    }

    printf("{\"type\":\"ok\",\"seq\":%.0f,\"result\":{\"loss\":", option(message, "seq", 0));
    print(&loss, 0, 1);
    printf(",\"outputs\":"), print(layers[depth].y, n, width);
    printf(",\"input_grad\":"), print(layers->dy, n, inputs);
    const char *groups[] = {"\"grads\":{", "\"params\":{", "\"state\":{\"momentum_buffer\":{"};
    int shown = !rule ? 1 : option(rule, "momentum", 0) != 0 ? 3 : 2;
    for (int k = 0; k < shown; k++) {
        printf(",%s", groups[k]);
        for (q = params; q < params + parameters; q++) {
            printf("%s\"%s\":", q > params ? "," : "", q->key);
            print(k == 0 ? q->g : k == 1 ? q->p : q->m, q->rows, q->columns);
        }
        putchar('}');
    }
    printf(shown == 3 ? "}}}\n" : shown == 2 ? ",\"state\":{}}}\n" : "}}\n");
}

int main(void) {
    char *line = NULL;
    for (size_t room = 0; getline(&line, &room, stdin) > 0;) {
        char *at = line;
        Value *message = parse(&at);
        char type = *member(message, "type")->text;
        if (type == 's') break;                                                          /* stop */
        if (type == 'r') run(message);
        else puts("{\"type\":\"hello\",\"name\":\"plain C\",\"version\":\"1\","
                  "\"layers\":{\"Linear\":\"any\",\"Sigmoid\":{},\"Tanh\":{},\"ReLU\":{}},"
                  "\"losses\":{\"MSELoss\":\"any\"},\"optimizers\":{\"SGD\":\"any\"},"
                  "\"returns\":[\"loss\",\"grads\",\"params\",\"outputs\",\"input_grad\",\"state\"],"
                  "\"accepts_state\":true,\"max_steps\":100000}");
        fflush(stdout);
        while (blocks) { Block *block = blocks; blocks = block->next; free(block); }
    }
    free(line);
    return 0;
}
