"""`python -m erlport.cli`, the program that ErlPort starts."""

from emqx.erlport.cli import main

if __name__ == "__main__":
    main()
