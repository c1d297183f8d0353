"""What integration tests share: certificates, servers, programs, peers. The fixtures are in tests/conftest.py."""
