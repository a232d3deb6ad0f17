defmodule Graphport.Instance.Predecessor do
  # Waits for the end of what is left of an instance whose supervisor was killed. Its processes see that and end by
  # themselves, but the janitor sees engines off first, and until then their names are taken: a new instance would fail to
  # start, and again, until the app's supervisor gives up. Called by `Core` before it starts them, in the process that
  # starts it.
  @moduledoc false

  alias Graphport.Instance

  # More than the graces of owner and janitor together. Whoever is still there then is killed.
  @patience_ms 4_000
  @roles [:janitor, :tasks, :sessions, :registry, :log_relay]

  @spec await_end(%{name: atom, engines: pos_integer}) :: :ok
  def await_end(settings) do
    monitors = Map.new(processes(settings), &{Process.monitor(&1), &1})
    timer = if monitors != %{}, do: Process.send_after(self(), {__MODULE__, :kill}, @patience_ms)
    await_each(monitors)
    if timer, do: cancel(timer)
    :ok
  end

  defp processes(%{name: name, engines: engines}) do
    names = Enum.map(@roles, &Instance.process_name(name, &1))
    owners = for index <- 0..(engines - 1), do: Instance.owner(name, index)
    registered = for name <- names ++ owners, pid = Process.whereis(name), do: pid

    case Instance.fetch(name) do
      {:ok, instance} -> [instance.table | registered]
      {:error, _none} -> registered
    end
  end

  defp await_each(monitors) when monitors == %{}, do: :ok

  defp await_each(monitors) do
    receive do
      {:DOWN, monitor, :process, _pid, _reason} when is_map_key(monitors, monitor) ->
        monitors |> Map.delete(monitor) |> await_each()

      {__MODULE__, :kill} ->
        Enum.each(monitors, fn {_monitor, pid} -> Process.exit(pid, :kill) end)
        await_each(monitors)
    end
  end

  defp cancel(timer) do
    if Process.cancel_timer(timer) == false do
      receive do
        {__MODULE__, :kill} -> :ok
      after
        0 -> :ok
      end
    end
  end
end
