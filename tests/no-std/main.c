/* Runs the static library: without std and an allocator, three operations are acknowledged. */
extern unsigned int whisperr_no_std(unsigned long long seed);

int main(void) { return whisperr_no_std(7) == 3 ? 0 : 1; }
