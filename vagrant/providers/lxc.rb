# Containers: they come up in seconds, and share this machine's kernel. The bridges br-a and br-b have to be there: they
# are what "script/lab up --provider lxc" makes, in a network namespace where nothing else is touched.
module Lab
  def self.lxc(machine, name, _number)
    machine.vm.provider :lxc do |container, override|
      give_box(override, "lxc") unless ENV["LAB_ROOM"] && chosen("LAB_BOX").empty? # the room has it in the box store
      override.vm.network :forwarded_port, guest: 22, host: 2222, id: "ssh", disabled: true
      container.container_name = :machine
      container.backingstore = "dir"
      container.privileged = !Process.euid.zero? # as root, no sudo is needed
      container.ssh_ip_addr = address(0, name)
      container.tmpfs_mount_size = "256M"
      container.customize "log.level", "ERROR"
      container.customize "log.file", "/var/log/lxc/#{name}.log"
      container.customize "cgroup.dir", "#{ENV['LAB_CGROUP']}/#{name}" if ENV["LAB_CGROUP"]
      %w[a b].each_with_index do |letter, ring|
        {
          "type" => "veth", "link" => "br-#{letter}", "flags" => "up", "name" => "eth#{ring}",
          "hwaddr" => mac(ring, name), "veth.pair" => "v-#{name}-#{letter}",
          "ipv4.address" => "#{address(ring, name)}/24"
        }.each { |key, value| container.customize "net.#{ring}.#{key}", value }
      end
      if ENV["LAB_ROOM"]
        %w[pre-start start-host].each { |hook| container.customize "hook.#{hook}", "#{HERE}/machines/power.sh" }
      end
    end
    lxc_needs_bridges(machine)
  end

  def self.lxc_needs_bridges(machine)
    machine.trigger.before :up do |trigger|
      trigger.name = "the lab's bridges"
      trigger.ruby do |_, vm|
        there = `ip -o link show`.scan(/^\d+: (br-[ab]):/).flatten.uniq.length == 2
        if vm.provider_name == :lxc && !there
          refuse("containers need the bridges br-a and br-b, which are not here: " \
                 "\"script/lab up --provider lxc\" makes them and everything else")
        end
      end
    end
  end
end
