defmodule Graphport.Instance.Engine do
  # Owns an engine: opens its pipe, routes what comes out of it, and outlives its death. It makes no call, runs no
  # foreign code and never waits, since every answer passes here. Frames to the engine are written by the callers;
  # the owner itself writes only `hello`, `ping` and `credit`.
  #
  # One life of the OS process is an *epoch*. It ends when the port exits, and then every open demand gets
  # `:engine_down`; the next epoch starts after a back-off. `exit_status` may never come when callers write to a pipe
  # whose reader is gone, so `{:EXIT, port, _}` is what counts.
  @moduledoc false
  use GenServer

  require Graphport.Wire.Limits
  require Logger

  alias Graphport.{Error, Instance}
  alias Graphport.Instance.{Backoff, Demands, Janitor, LogRelay, Mailboxes, Pool, Spans, Transfers}
  alias Graphport.Port.{Credit, OsProcess, Pipe, Writer}
  alias Graphport.Wire.{Limits, Messages}

  @longest_ping_interval_ms 2_000
  @close_grace_ms 500
  # While an engine is being drained: how often to see whether it has open demands still.
  @look_again_ms 50
  @longest_drain_ms 5_000
  # An engine that talks but reads nothing is as stuck as a silent one; one that is busy may read late. In hang timeouts.
  @deaf_timeouts 3
  # A stopping instance lets messages that are being decoded arrive.
  @decoding_grace_ms 2_000
  # Every frame makes garbage: on a heap of the usual size it would be collected every few frames.
  @spawn_options [min_heap_size: 65_536, message_queue_data: :off_heap]
  @client "graphport-elixir/#{Mix.Project.config()[:version]}"

  @type settings :: %{
          name: atom,
          index: non_neg_integer,
          command: Pipe.command(),
          start_timeout: pos_integer,
          drain_timeout: timeout,
          hello: map,
          hang_timeout: pos_integer
        }

  @spec start_link(settings) :: GenServer.on_start()
  def start_link(settings) do
    options = [name: Instance.owner(settings.name, settings.index), spawn_opt: @spawn_options]
    GenServer.start_link(__MODULE__, settings, options)
  end

  @doc "Asks each owner for `{:engine_up, epoch}` as soon as its engine is up, and `{:engine_failed, error}` whenever it fails to start."
  @spec await(Instance.t()) :: :ok
  def await(instance), do: Enum.each(instance.owners, &ask(&1, {:await, self()}))

  defp ask(owner, message) do
    send(owner, message)
  rescue
    # The owner is being restarted: the waiting process looks again after its own time-out.
    ArgumentError -> :ok
  end

  @impl GenServer
  def init(settings) do
    Process.flag(:trap_exit, true)
    {:ok, instance} = Instance.fetch(settings.name)
    down = Error.new(:engine_down, "the engine owner was restarted")
    # Left over if this process was killed before.
    Pool.down(instance, settings.index, down)
    Demands.fail_all(instance, {:engine, settings.index}, down)
    ping_interval = min(@longest_ping_interval_ms, max(div(settings.hang_timeout, 5), 1))
    spawn(Pipe, :sweep, [])
    send(self(), :open)
    Process.send_after(self(), :tick, ping_interval)

    {:ok,
     %{
       instance: instance,
       settings: settings,
       ping_interval: ping_interval,
       backoff: Backoff.new(),
       waiting: MapSet.new(),
       status: :down,
       epoch: nil,
       pipe: nil,
       port: nil,
       credit: nil,
       frames: 0,
       bytes: 0,
       credited: 0,
       frames_at_tick: 0,
       silent_ticks: 0,
       pinged: false,
       read_at_tick: 0,
       deaf_ticks: 0,
       # What is coming in parts; and, of epochs that are over, what is still decoded: process => {id, error}.
       transfers: %{},
       ending: %{},
       exit_status: nil,
       fault: nil,
       up_at: nil
     }}
  end

  @impl GenServer
  def handle_info({port, {:data, _frame}}, %{port: port, status: :failed} = state), do: {:noreply, state}

  def handle_info({port, {:data, frame}}, %{port: port} = state)
      when byte_size(frame) > Limits.max_frame_bytes(),
      do: {:noreply, kill(state, "it sent a frame of #{byte_size(frame)} bytes")}

  def handle_info({port, {:data, frame}}, %{port: port} = state) do
    case Messages.parse_frame(frame) do
      {:ok, messages} ->
        {:noreply, messages |> route(state) |> count(byte_size(frame))}

      {:error, error} ->
        {:noreply, kill(state, "it sent a frame that breaks the protocol (#{Exception.message(error)})")}
    end
  end

  def handle_info(:tick, state) do
    Process.send_after(self(), :tick, state.ping_interval)
    {:noreply, tick(%{state | transfers: Transfers.sweep(state.transfers, state.instance)})}
  end

  def handle_info({{:transfer, id}, _monitor, :process, process, reason}, state),
    do: {:noreply, decoded(id, process, reason, state)}

  def handle_info({:await, pid}, %{status: :up} = state) do
    send(pid, {:engine_up, state.epoch})
    {:noreply, state}
  end

  def handle_info({:await, pid}, state), do: {:noreply, %{state | waiting: MapSet.put(state.waiting, pid)}}

  def handle_info({:gone, epoch}, %{epoch: epoch, status: status} = state) when status in [:up, :draining],
    do: {:noreply, kill(state, "it ended, and a child of it has left its pipe open")}

  # The pipe's end follows, unless somebody the engine left behind holds it open.
  def handle_info({port, {:exit_status, status}}, %{port: port} = state) do
    Process.send_after(self(), {:close, state.epoch}, @close_grace_ms)
    {:noreply, %{state | exit_status: status}}
  end

  def handle_info({:close, epoch}, %{epoch: epoch, port: port} = state) when port != nil do
    _ = Pipe.close(port)
    {:noreply, end_epoch(state, :normal)}
  end

  def handle_info({:EXIT, port, reason}, %{port: port} = state), do: {:noreply, end_epoch(state, reason)}
  def handle_info(:open, %{status: :down} = state), do: {:noreply, open(state)}

  def handle_info({:start_timeout, epoch}, %{status: :starting, epoch: epoch} = state) do
    {:noreply, kill(state, "it was not ready within #{state.settings.start_timeout} ms")}
  end

  def handle_info({:drain, epoch, deadline, why}, %{status: :draining, epoch: epoch} = state),
    do: {:noreply, drain(state, deadline, why)}

  # The supervisor's, or a stranger's, exit; anything else is late news of an epoch that is over.
  def handle_info({:EXIT, pid, reason}, state) when is_pid(pid), do: {:stop, reason, state}
  def handle_info(_late, state), do: {:noreply, state}

  @impl GenServer
  def terminate(_reason, state) do
    error = Instance.why_ending(state.instance)
    Pool.down(state.instance, state.settings.index, error)
    if state.port, do: close(state)
    decoding = for({process, _id} <- Transfers.stop(state.transfers), do: process) ++ Map.keys(state.ending)
    await_decoding(decoding, Writer.deadline(@decoding_grace_ms))
    Demands.fail_all(state.instance, {:engine, state.settings.index}, error)
    Spans.engine(state.instance, state.settings.index, :stopped)
  rescue
    # The supervisor was killed, and the tables may be gone. The port closes with its owner.
    error in ArgumentError ->
      if :ets.info(state.instance.demands) != :undefined, do: reraise(error, __STACKTRACE__)
  end

  # -- routing ---------------------------------------------------------------------------------------------------

  # What follows a message in parts of the same demand waits until that is decoded.
  defp route([message | rest], %{transfers: transfers} = state) when map_size(transfers) > 0 do
    case Transfers.hold(transfers, message) do
      :pass -> route(rest, route_one(message, state))
      {:held, transfers} -> route(rest, %{state | transfers: transfers})
    end
  end

  defp route([message | rest], state), do: route(rest, route_one(message, state))
  defp route([], state), do: state

  defp route_one({:credit, frames, bytes}, state) do
    case Credit.settle(state.credit, frames, bytes, fn -> Pipe.output(state.port) end) do
      :ok ->
        state

      :impossible ->
        kill(state, "it breaks the protocol: it cannot have read #{frames} frames, #{bytes} bytes")
    end
  end

  defp route_one({:error, nil, error}, state), do: %{state | fault: Error.from_wire(error)}

  defp route_one({:log, level, logger, text, meta}, state) do
    LogRelay.log(state.instance, {level, logger, text, meta, state.pipe.os_pid})
    state
  end

  defp route_one({:pong, _token}, state), do: %{state | pinged: false}
  defp route_one({:ready, facts}, %{status: :starting} = state), do: ready(facts, state)
  defp route_one({:ready, _facts}, state), do: kill(state, "it said ready twice")

  defp route_one({:degraded, facts}, %{status: :up} = state), do: degraded(facts, state)
  defp route_one({:degraded, _facts}, state), do: state

  defp route_one({:unknown, name}, state) do
    line = {:warning, "graphport.wire", "ignored a message named #{inspect(name)}", %{}, state.pipe.os_pid}
    LogRelay.log(state.instance, line)
    state
  end

  # Nothing of a faulty frame counts but what came before the fault.
  defp route_one({:part, _id, _seq, _last, _bytes}, %{status: :failed} = state), do: state

  defp route_one({:part, _id, _seq, _last, _bytes} = part, state) do
    case Transfers.part(state.transfers, state.instance, part, state.epoch) do
      {:ok, transfers} -> %{state | transfers: transfers}
      {:fault, text} -> kill(state, "it breaks the protocol: #{text}")
    end
  end

  defp route_one(message, state) do
    Demands.pass_on(state.instance, message, state.epoch)
    state
  end

  # -- messages in parts -----------------------------------------------------------------------------------------

  # The demand's row was left to the process that has ended now.
  defp decoded(_id, process, _reason, %{ending: ending} = state) when is_map_key(ending, process) do
    {{id, error}, ending} = Map.pop!(ending, process)
    with {:ok, row} <- Demands.take(state.instance, id), do: Demands.fail(row, error)
    %{state | ending: ending}
  end

  defp decoded(id, process, reason, state) do
    case Transfers.ended(state.transfers, id, process) do
      {:ok, transfers} -> id |> decoded(reason, %{state | transfers: transfers}) |> release(id)
      :unknown -> state
    end
  end

  defp decoded(_id, :normal, state), do: state
  defp decoded(_id, {:shutdown, {:message, message}}, state), do: route_one(message, state)

  defp decoded(_id, {:shutdown, {:fault, text}}, state),
    do: kill(state, "it breaks the protocol in parts: #{text}")

  defp decoded(id, reason, state) do
    error = Error.new(:internal_error, "a message in parts was lost: #{inspect(reason)}")
    with {:ok, row} <- Demands.take(state.instance, id), do: Demands.fail(row, error)
    Janitor.cancel(state.instance, id, state.epoch)
    state
  end

  defp release(%{status: :failed} = state, _id), do: state

  defp release(state, id) do
    case Transfers.next(state.transfers, id) do
      {:message, message, transfers} -> release(route_one(message, %{state | transfers: transfers}), id)
      {:none, transfers} -> %{state | transfers: transfers}
    end
  end

  defp await_decoding([], _deadline), do: :ok

  defp await_decoding([process | rest], deadline) do
    receive do
      {{:transfer, _id}, _monitor, :process, ^process, _reason} -> await_decoding(rest, deadline)
    after
      Writer.left_ms(deadline) -> :ok
    end
  end

  defp count(state, size) do
    state = %{state | frames: state.frames + 1, bytes: state.bytes + size}

    if state.bytes - state.credited >= Limits.credit_every_bytes() and state.port != nil do
      case Writer.force(state.port, state.credit, Messages.credit(state.frames, state.bytes)) do
        :ok ->
          Mailboxes.look(state.instance)
          within_window(%{state | credited: state.bytes})

        # The pipe is full: the next frame is the next try.
        {:error, _reason} ->
          within_window(state)
      end
    else
      state
    end
  end

  # A port has no brake: only the engine's own can keep this mailbox short.
  defp within_window(state) do
    case Pipe.input(state.port) do
      bytes when is_integer(bytes) and bytes - state.credited > Limits.max_unread_bytes() ->
        kill(state, "it sent #{bytes - state.credited} bytes more than was read")

      _within_or_unknown ->
        state
    end
  end

  # -- an epoch --------------------------------------------------------------------------------------------------

  defp open(state) do
    case Pipe.open(state.settings.command) do
      {:ok, pipe} ->
        epoch = Instance.new_epoch(state.settings.index)
        :atomics.add(state.instance.starts, state.settings.index + 1, 1)
        credit = Credit.new()
        Janitor.engine_started(state.instance, pipe)
        Spans.engine(state.instance, state.settings.index, {:started, pipe.os_pid})
        Process.send_after(self(), {:start_timeout, epoch}, state.settings.start_timeout)
        Writer.force(pipe.port, credit, Messages.hello(@client, state.settings.hello))

        fresh = %{
          frames: 0,
          bytes: 0,
          credited: 0,
          frames_at_tick: 0,
          silent_ticks: 0,
          pinged: false,
          read_at_tick: 0,
          deaf_ticks: 0,
          exit_status: nil,
          fault: nil
        }

        Map.merge(
          %{state | status: :starting, epoch: epoch, pipe: pipe, port: pipe.port, credit: credit},
          fresh
        )

      {:error, reason} ->
        failed(state, Error.new(:engine_down, "the engine's process cannot be started: #{inspect(reason)}"))
    end
  end

  defp ready(%{"protocol" => protocol}, state) when protocol != Limits.protocol() do
    kill(state, "it speaks protocol #{protocol}, this side #{Limits.protocol()}")
  end

  defp ready(%{"os_pid" => os_pid}, state) when os_pid != state.pipe.os_pid do
    kill(state, "it runs as process #{os_pid}, behind a wrapper that runs as process #{state.pipe.os_pid}")
  end

  defp ready(facts, state) do
    Pool.up(state.instance, {state.epoch, state.port, state.credit}, facts)
    Enum.each(state.waiting, &send(&1, {:engine_up, state.epoch}))
    Spans.engine(state.instance, state.settings.index, :ready)
    %{state | status: :up, waiting: MapSet.new(), up_at: Writer.now_ms()}
  end

  # It works still, but is to be replaced: nothing new comes, and what is open may end. The first look is not at once,
  # for callers who found a route to it just before.
  defp degraded(%{"reason" => reason}, state) do
    Pool.retire(state.instance, state.epoch)
    look_again(state, Writer.deadline(drain_timeout(state)), "it was degraded: #{reason}")
    %{state | status: :draining}
  end

  # Sessions may have no other engine meanwhile.
  defp drain_timeout(state), do: min(state.settings.drain_timeout, @longest_drain_ms)

  defp drain(state, deadline, why) do
    if Demands.count(state.instance, state.epoch) == 0 or Writer.left_ms(deadline) == 0,
      do: kill(state, why),
      else: look_again(state, deadline, why)
  end

  defp look_again(state, deadline, why) do
    Process.send_after(self(), {:drain, state.epoch, deadline, why}, @look_again_ms)
    state
  end

  # Silence is counted in ticks and not in time, so that a machine that slept does not kill its engine.
  defp tick(%{status: status} = state) when status in [:up, :draining] do
    %{settings: %{hang_timeout: silence}} = state = watch(state)

    cond do
      state.silent_ticks * state.ping_interval > silence ->
        kill(%{state | silent_ticks: 0}, "it said nothing for #{silence} ms")

      state.deaf_ticks * state.ping_interval > silence * @deaf_timeouts ->
        kill(%{state | deaf_ticks: 0}, "it read nothing for #{silence * @deaf_timeouts} ms")

      true ->
        if state.silent_ticks > 0, do: look(state)
        ping(state)
    end
  end

  defp tick(state), do: state

  # A port says nothing of its program's end as long as somebody whom that has left behind holds the pipe open.
  defp look(%{pipe: %{os_pid: os_pid, start_time: start_time}, epoch: epoch}) do
    owner = self()
    spawn(fn -> unless OsProcess.alive?(os_pid, start_time), do: send(owner, {:gone, epoch}) end)
  end

  # Silent: no frame came. Deaf: frames wait to be read, and none was. There is always one, since a ping is on its way.
  defp watch(state) do
    read = Credit.frames_read(state.credit)
    {unread, _bytes} = Credit.unread(state.credit)
    silent_ticks = if state.frames == state.frames_at_tick, do: state.silent_ticks + 1, else: 0
    silent? = silent_ticks > 0
    if silent? != state.silent_ticks > 0, do: Pool.silent(state.instance, state.epoch, silent?)

    %{
      state
      | frames_at_tick: state.frames,
        silent_ticks: silent_ticks,
        read_at_tick: read,
        deaf_ticks: if(unread > 0 and read == state.read_at_tick, do: state.deaf_ticks + 1, else: 0)
    }
  end

  # One at a time, with or without credit: the answer brings what is known to be read, so that credit which has leaked is
  # given back, to the last frame of the reserve. An engine that reads nothing is deaf enough.
  defp ping(%{pinged: true} = state), do: state

  defp ping(state),
    do: %{state | pinged: Writer.force(state.port, state.credit, Messages.ping(state.frames)) == :ok}

  # The epoch ends when the port exits, which the kill brings about. Frames that still come count no more.
  defp kill(state, why) do
    # Sessions that were placed on it now would wait for its end.
    Pool.retire(state.instance, state.epoch)
    spawn(OsProcess, :kill, [state.pipe.os_pid, state.pipe.start_time])
    Process.send_after(self(), {:close, state.epoch}, @close_grace_ms)
    %{state | status: :failed, fault: state.fault || Error.new(:engine_down, why)}
  end

  defp end_epoch(state, reason) do
    error = Error.new(:engine_down, "the engine ended: #{why(state, reason)}")
    Pool.down(state.instance, state.settings.index, error)
    decoding = Transfers.stop(state.transfers)
    Demands.fail_all(state.instance, state.epoch, error, for({_process, id} <- decoding, do: id))
    ending = for {process, id} <- decoding, into: state.ending, do: {process, {id, error}}
    Janitor.engine_ended(state.instance, state.pipe)

    LogRelay.log(
      state.instance,
      {:error, "graphport.engine", Exception.message(error), %{}, state.pipe.os_pid}
    )

    backoff =
      if state.up_at, do: Backoff.lived(state.backoff, Writer.now_ms() - state.up_at), else: state.backoff

    reported = if state.fault, do: %{state.fault | message: error.message}, else: error
    state = %{state | port: nil, pipe: nil, credit: nil, up_at: nil, backoff: backoff}
    failed(%{state | transfers: %{}, ending: ending}, reported)
  end

  defp failed(state, error) do
    Enum.each(state.waiting, &send(&1, {:engine_failed, error}))
    {delay, backoff} = Backoff.next(state.backoff)
    Spans.engine(state.instance, state.settings.index, {:failed, error, delay})
    Process.send_after(self(), :open, delay)
    %{state | status: :down, backoff: backoff}
  end

  defp why(state, reason) do
    parts = [
      state.fault && state.fault.message,
      state.exit_status && "exit status #{state.exit_status}",
      Pipe.why(state.pipe.port, reason)
    ]

    what = parts |> Enum.filter(&is_binary/1) |> Enum.join(", ")
    what = if what == "", do: "it closed its pipe", else: what

    case Pipe.last_words(state.pipe) do
      "" -> what
      words -> what <> "; its last words: " <> words
    end
  end

  defp close(state) do
    Janitor.engine_ended(state.instance, state.pipe)
    Pipe.close(state.port)
  end
end
