"""The lab's machines where Vagrant makes them: containers and virtual machines, in a room of their own."""
