// The cheapest program there is: from its start to its end is what the kernel takes for any.
int main() { return 0; }
