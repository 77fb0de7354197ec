typedef __SIZE_TYPE__ size_t;
int strcmp(const char *, const char *);
void *memcpy(void *, const void *, __SIZE_TYPE__);
void *memset(void *, int, __SIZE_TYPE__);
